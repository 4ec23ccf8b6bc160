//! Matrix products of bfloat16 numbers, where the CPU multiplies them itself: two products of a pair at a time are added
//! to a float32 sum, twice as many in the same time as float32 has.

/// Two numbers of a row or column, the first one in the low half.
pub(crate) type Pair = u32;

/// Leave to use the instructions of AVX-512 BF16, which AMD has since Zen 4 and Intel since Cooper Lake.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bfloat16(Asked);

#[cfg(target_arch = "x86_64")]
type Asked = ();
#[cfg(not(target_arch = "x86_64"))]
type Asked = std::convert::Infallible;

impl Bfloat16 {
    /// Columns of a panel.
    pub const PANEL: usize = 32;

    /// Where the CPU has them.
    pub fn here() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        return (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")).then_some(Self(()));
        #[cfg(not(target_arch = "x86_64"))]
        None
    }

    /// As [`super::simd::tile`], of pairs; `panel [depth, 32]`.
    pub fn tile<const R: usize>(
        self,
        rows: [&[Pair]; R],
        panel: &[Pair],
        out: &mut [f32],
        line: usize,
        more: bool,
    ) -> usize {
        #[cfg(not(target_arch = "x86_64"))]
        match (self.0, rows, panel, out, line, more).0 {}
        // SAFETY: there is a `Bfloat16` only where the CPU has both features.
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        unsafe {
            avx512::tile(rows, panel, out, line, more)
        }
    }
}

/// The bits of the nearest bfloat16, of two the even one. What is not a number stays none.
#[inline(always)]
fn nearest(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16;
    if x.is_nan() { bits >> 16 | 0x40 } else { rounded }
}

/// Two numbers, rounded.
#[inline(always)]
pub(crate) fn pair(low: f32, high: f32) -> Pair {
    nearest(low) | nearest(high) << 16
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::Pair;
    use std::{arch::x86_64::*, mem::transmute};

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub fn tile<const R: usize>(rows: [&[Pair]; R], panel: &[Pair], out: &mut [f32], line: usize, more: bool) -> usize {
        let (panel, _) = panel.as_chunks::<16>();
        let (panel, _) = panel.as_chunks::<2>();
        let rows = rows.map(|row| &row[..panel.len()]);
        let mut sums = [[_mm512_setzero_ps(); 2]; R];
        for (k, [a, b]) in panel.iter().enumerate() {
            let (a, b) = (vector(*a), vector(*b));
            for (sums, row) in sums.iter_mut().zip(rows) {
                let x = vector([row[k]; 16]);
                *sums = [_mm512_dpbf16_ps(sums[0], x, a), _mm512_dpbf16_ps(sums[1], x, b)];
            }
        }
        for (sums, out) in sums.into_iter().zip(out.chunks_mut(line)) {
            for (sum, out) in sums.into_iter().zip(out.as_chunks_mut::<16>().0) {
                // SAFETY: sixteen floats, both.
                #[allow(unsafe_code)]
                let sum: [f32; 16] = unsafe { transmute(sum) };
                out.iter_mut().zip(sum).for_each(|(o, s)| *o = if more { *o + s } else { s });
            }
        }
        R
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn vector(pairs: [Pair; 16]) -> __m512bh {
        // SAFETY: thirty-two bfloat16, both.
        #[allow(unsafe_code)]
        unsafe {
            transmute(pairs)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rounding_is_that_of_half(bits in any::<u32>()) {
            let x = f32::from_bits(bits);
            prop_assert_eq!(nearest(x), u32::from(bf16::from_f32(x).to_bits()));
        }
    }
}
