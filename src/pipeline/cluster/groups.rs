//! Centres sorted into the kernel's panels.

use super::points::{lines, slice};
use crate::kernels::panels::Panels;
use crate::kernels::{simd, vectors};
use ndarray::Array2;

/// Which centres share a panel: near ones, so that most rows need look at few panels.
pub(super) struct Groups {
    /// The centres, panel by panel, ascending in each.
    pub order: Vec<u32>,
    /// The panel of each centre.
    pub of: Vec<usize>,
}

impl Groups {
    pub fn new(centres: &Array2<f32>) -> Self {
        let (m, width) = (centres.nrows(), simd::width());
        let panels = Panels::new(lines(centres), centres.ncols());
        let squares: Vec<f32> = centres.outer_iter().map(|c| vectors::square(c) as f32).collect();
        let (mut left, mut order, mut products) = ((0..m as u32).collect::<Vec<_>>(), Vec::new(), Vec::new());
        while let Some(&first) = left.first() {
            let gap: Vec<f32> = (0..panels.count())
                .flat_map(|p| {
                    panels.products(p, &[slice(centres, first)], &mut products);
                    products[..panels.filled(p)].to_vec()
                })
                .zip(&squares)
                .map(|(product, square)| square - 2.0 * product)
                .collect();
            left.sort_by(|&a, &b| gap[a as usize].total_cmp(&gap[b as usize]).then(a.cmp(&b)));
            let mut near: Vec<u32> = left.drain(..width.min(left.len())).collect();
            near.sort_unstable();
            order.append(&mut near);
            left.sort_unstable();
        }
        let mut of = vec![0; m];
        order.iter().enumerate().for_each(|(at, &k)| of[k as usize] = at / width);
        Self { order, of }
    }
}
