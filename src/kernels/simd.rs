//! Loops for the widest vectors of this machine, and the register tile under every matrix product here, after Goto and
//! van de Geijn (TOMS 2008): a few rows by a panel of two vectors, whose columns stay in the first-level cache.

use pulp::{Arch, Simd, WithSimd};

/// Columns at a time: a panel of 16 rows by 256 floats is half a first-level cache of 32 KB, one of 32 rows (AVX-512) two
/// thirds of 48 KB. Another depth would sum in another order.
pub(crate) const DEPTH: usize = 256;

/// Runs `op` with the widest vectors of this machine that pulp is built for: AVX-512, or AVX2 and FMA, on x86, NEON on ARM.
/// Every number is summed in the same order with each of them.
pub(crate) fn run<Op: WithSimd>(op: Op) -> Op::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V4::try_new() {
        return Simd::vectorize(simd, op);
    }
    // `Arch` knows V3 only with a feature that would build the tensor library anew.
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return Simd::vectorize(simd, op);
    }
    Arch::new().dispatch(op)
}

/// Rows of a panel: two vectors of this machine.
pub(crate) fn width() -> usize {
    run(Width)
}

struct Width;

impl WithSimd for Width {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        2 * S::F32_LANES
    }
}

/// Products of `R` rows with a panel, written to `out`, a row every `line` floats, or, if there is `more`, added;
/// returns `R`. Each depends on its two rows alone, to the bit.
#[inline(always)]
pub(crate) fn tile<S: Simd, const R: usize>(
    simd: S,
    rows: [&[f32]; R],
    panel: &[S::f32s],
    out: &mut [f32],
    line: usize,
    more: bool,
) -> usize {
    let (panel, _) = panel.as_chunks::<2>();
    let rows = rows.map(|row| &row[..panel.len()]);
    let mut sums = [[simd.splat_f32s(0.0); 2]; R];
    for (k, column) in panel.iter().enumerate() {
        for r in 0..R {
            let x = simd.splat_f32s(rows[r][k]);
            sums[r] = [simd.mul_add_e_f32s(x, column[0], sums[r][0]), simd.mul_add_e_f32s(x, column[1], sums[r][1])];
        }
    }
    for (r, sums) in sums.into_iter().enumerate() {
        let (slots, _) = S::as_mut_simd_f32s(&mut out[r * line..][..2 * S::F32_LANES]);
        for (slot, sum) in slots.iter_mut().zip(sums) {
            *slot = if more { simd.add_f32s(*slot, sum) } else { sum };
        }
    }
    R
}
