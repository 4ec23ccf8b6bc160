//! Where a convolution finds its pixels, channels last.

/// How a convolution's windows lie: 3 x 3 with one pixel of zeros around, over the image scaled to `size` by nearest
/// neighbours (as it is, or twice as large before an upsampler's convolution).
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    /// The image as stored: height, width.
    pub stored: (usize, usize),
    /// The image as seen: height, width.
    pub size: (usize, usize),
    /// 1, or 2 to halve it.
    pub stride: usize,
}

impl Windows {
    /// Height and width of what comes out.
    pub fn out(&self) -> (usize, usize) {
        ((self.size.0 - 1) / self.stride + 1, (self.size.1 - 1) / self.stride + 1)
    }

    /// The window of output pixel `row` of images `x [b, h, w, c]`: `out [9 c]`, taps in row-major order.
    pub fn copy(&self, x: &[f32], c: usize, row: usize, out: &mut [f32]) {
        let ((sh, sw), (vh, vw), (oh, ow)) = (self.stored, self.size, self.out());
        let (image, p) = (row / (oh * ow), row % (oh * ow));
        let (y0, x0) = (p / ow * self.stride, p % ow * self.stride);
        for (dy, out) in out.chunks_exact_mut(3 * c).enumerate() {
            let y = (y0 + dy).wrapping_sub(1);
            if y >= vh {
                out.fill(0.);
                continue;
            }
            let line = (image * sh + y * sh / vh) * sw;
            if self.stored == self.size && x0 > 0 && x0 + 1 < vw {
                out.copy_from_slice(&x[(line + x0 - 1) * c..][..3 * c]);
                continue;
            }
            for (dx, out) in out.chunks_exact_mut(c).enumerate() {
                let col = (x0 + dx).wrapping_sub(1);
                if col < vw {
                    out.copy_from_slice(&x[(line + col * sw / vw) * c..][..c]);
                } else {
                    out.fill(0.);
                }
            }
        }
    }

    /// The channels at `(y, x)` of image `image` of `data [b, h, w, c]`, both counted from the border of zeros; none on it.
    pub fn pixel<'a>(&self, data: &'a [f32], c: usize, image: usize, (y, x): (usize, usize)) -> Option<&'a [f32]> {
        let ((sh, sw), (vh, vw)) = (self.stored, self.size);
        let (y, x) = (y.wrapping_sub(1), x.wrapping_sub(1));
        (y < vh && x < vw).then(|| &data[((image * sh + y * sh / vh) * sw + x * sw / vw) * c..][..c])
    }
}
