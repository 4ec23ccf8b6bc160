//! JPEG photographs to the byte as libjpeg-turbo decodes them, hence Pillow and every pipeline built on it: the accurate
//! integer transform, triangle-filtered ("fancy") chroma, its colour tables. The decoder that `image` brings rounds
//! otherwise, by up to 4 of 255 in up to a fifth of the bytes, which CLIP's pixels would show.
//!
//! Read are whole 8-bit Huffman files, baseline or progressive, grey or of three colours. Anything else, damaged files
//! among it, is left to the other decoder. The format: ITU-T T.81.

mod samples;
mod scan;

use image::RgbImage;
use scan::{Bits, Huffman, Scan};

/// Where each coefficient of the file's order stands in its block.
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// Most pixels: coefficients, samples and colours take up to 12 bytes for each of them.
const MAX_PIXELS: usize = 40_000_000;
/// Most scans: each passes over the whole picture, and can be a few bytes. libjpeg's own script has ten.
const MAX_SCANS: usize = 100;

type Block = [i16; 64];

/// One colour: its share of the pixels and its coefficients, in natural order.
struct Component {
    id: u8,
    h: usize,
    v: usize,
    quant: u8,
    /// Latched at the first scan, as a file may redefine it between scans.
    table: Option<[u16; 64]>,
    /// Samples that belong to the image.
    width: usize,
    height: usize,
    /// Blocks of a row, with those that fill up the last unit.
    stride: usize,
    blocks: Vec<Block>,
}

/// What the markers said so far.
#[derive(Default)]
struct Decoder {
    quant: [Option<[u16; 64]>; 4],
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    restart: usize,
    jfif: bool,
    adobe: Option<u8>,
    progressive: bool,
    size: (usize, usize),
    components: Vec<Component>,
}

/// The picture; `None` if it is of another kind, or not whole.
pub(in crate::data) fn decode(bytes: &[u8]) -> Option<RgbImage> {
    let mut decoder = Decoder::default();
    let (mut at, mut scans) = (2, 0);
    loop {
        while *bytes.get(at)? == 0xff && *bytes.get(at + 1)? == 0xff {
            at += 1;
        }
        let (&[0xff, marker], rest) = bytes.get(at..)?.split_first_chunk::<2>()? else { return None };
        at += 2;
        match marker {
            0xd9 => return decoder.finish(),
            0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
        let segment = rest.get(2..length)?;
        at += length;
        match marker {
            0xc0..=0xc2 => decoder.frame(segment, marker == 0xc2)?,
            0xc4 => decoder.huffman(segment)?,
            0xda if scans == MAX_SCANS => return None,
            0xda => {
                scans += 1;
                at += decoder.scan(segment, bytes.get(at..)?)?;
            }
            0xdb => decoder.quantisation(segment)?,
            0xdd => decoder.restart = usize::from(u16::from_be_bytes(*segment.first_chunk()?)),
            0xe0 => decoder.jfif |= segment.starts_with(b"JFIF\0"),
            0xee if segment.starts_with(b"Adobe") => decoder.adobe = segment.get(11).copied(),
            0xc3 | 0xc5..=0xcf | 0xdc => return None,
            _ => {}
        }
    }
}

impl Decoder {
    fn quantisation(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&about, rest)) = segment.split_first() {
            let wide = usize::from(about >> 4);
            let (values, rest) = rest.split_at_checked(64 << wide.min(1))?;
            let mut table = [0; 64];
            for (i, &at) in ZIGZAG.iter().enumerate() {
                table[usize::from(at)] = match wide {
                    0 => u16::from(values[i]),
                    _ => u16::from_be_bytes([values[2 * i], values[2 * i + 1]]),
                };
            }
            *self.quant.get_mut(usize::from(about & 15))? = Some(table);
            segment = rest;
        }
        Some(())
    }

    fn huffman(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&about, rest)) = segment.split_first() {
            let counts: &[u8; 16] = rest.first_chunk()?;
            let total = counts.iter().map(|&n| usize::from(n)).sum();
            let (symbols, after) = rest[16..].split_at_checked(total)?;
            let tables = if about >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *tables.get_mut(usize::from(about & 15))? = Some(Huffman::new(counts, symbols)?);
            segment = after;
        }
        Some(())
    }

    fn frame(&mut self, segment: &[u8], progressive: bool) -> Option<()> {
        let &[8, h1, h0, w1, w0, count] = segment.first_chunk::<6>()? else { return None };
        let (height, width) = (usize::from(u16::from_be_bytes([h1, h0])), usize::from(u16::from_be_bytes([w1, w0])));
        let known = segment.len() == 6 + 3 * usize::from(count) && matches!(count, 1 | 3);
        if !known || width * height > MAX_PIXELS || width == 0 || height == 0 || !self.components.is_empty() {
            return None;
        }
        let factors = |c: &[u8]| (usize::from(c[1] >> 4), usize::from(c[1] & 15));
        let all = || segment[6..].chunks_exact(3);
        if !all().all(|c| (1..=4).contains(&factors(c).0) && (1..=4).contains(&factors(c).1)) {
            return None;
        }
        let (most_h, most_v) = (all().map(|c| factors(c).0).max()?, all().map(|c| factors(c).1).max()?);
        let units = (width.div_ceil(8 * most_h), height.div_ceil(8 * most_v));
        for c in all() {
            let (h, v) = factors(c);
            let (stride, rows) = (units.0 * h, units.1 * v);
            self.components.push(Component {
                id: c[0],
                h,
                v,
                quant: c[2],
                table: None,
                width: (width * h).div_ceil(most_h),
                height: (height * v).div_ceil(most_v),
                stride,
                blocks: vec![[0; 64]; stride * rows],
            });
        }
        (self.size, self.progressive) = ((width, height), progressive);
        Some(())
    }

    /// Decodes a scan; how many bytes it took.
    fn scan(&mut self, segment: &[u8], data: &[u8]) -> Option<usize> {
        let count = usize::from(*segment.first()?);
        let (chosen, &[start, end, bits]) =
            (segment.get(1..1 + 2 * count)?, segment.get(1 + 2 * count..)?.first_chunk()?);
        let mut parts = Vec::new();
        for pair in chosen.chunks_exact(2) {
            let at = self.components.iter().position(|c| c.id == pair[0])?;
            let component = &mut self.components[at];
            if component.table.is_none() {
                component.table = Some((*self.quant.get(usize::from(component.quant))?)?);
            }
            parts.push((at, usize::from(pair[1] >> 4), usize::from(pair[1] & 15)));
        }
        let whole = Scan { start: 0, end: 63, high: 0, low: 0, progressive: false };
        let scan = match self.progressive {
            false => whole,
            true => Scan { start, end, high: bits >> 4, low: bits & 15, progressive: true },
        };
        let mut bits = Bits::new(data);
        scan.check(parts.len()).then_some(())?;
        let mut state = scan::State::default();
        let (width, height) = match parts.as_slice() {
            [(at, ..)] => (self.components[*at].width.div_ceil(8), self.components[*at].height.div_ceil(8)),
            _ => {
                let first = &self.components[0];
                (first.stride / first.h, first.blocks.len() / first.stride / first.v)
            }
        };
        for unit in 0..width * height {
            if self.restart > 0 && unit > 0 && unit.is_multiple_of(self.restart) {
                bits.restart(unit / self.restart - 1)?;
                state = scan::State::default();
            }
            let (x, y) = (unit % width, unit / width);
            for (slot, &(at, dc, ac)) in parts.iter().enumerate() {
                let component = &mut self.components[at];
                let (h, v) = if parts.len() == 1 { (1, 1) } else { (component.h, component.v) };
                let tables = (self.dc.get(dc)?.as_ref(), self.ac.get(ac)?.as_ref());
                for i in 0..h * v {
                    let place = (y * v + i / h) * component.stride + x * h + i % h;
                    scan.block(&mut bits, tables, slot, &mut state, component.blocks.get_mut(place)?)?;
                }
            }
        }
        Some(bits.taken())
    }

    fn finish(self) -> Option<RgbImage> {
        let ids: Vec<u8> = self.components.iter().map(|c| c.id).collect();
        // As libjpeg guesses (jdapimin.c, default_decompress_parms).
        let ycc = match self.adobe {
            _ if self.jfif => true,
            Some(transform) => transform != 0,
            None => ids != *b"RGB",
        };
        let most = |f: fn(&Component) -> usize| self.components.iter().map(f).max();
        let (most_h, most_v) = (most(|c| c.h)?, most(|c| c.v)?);
        let mut planes = Vec::new();
        for c in self.components {
            planes.push(samples::Plane::new(&c, (most_h, most_v))?);
        }
        samples::to_rgb(&planes, self.size, ycc)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_picture_of_endless_scans_is_not_decoded() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/decode/422_progressive.jpg");
        let whole = std::fs::read(path).unwrap();
        // The first one brings the means of all blocks: any number of them says the same.
        let first = whole.windows(2).position(|w| w == [0xff, 0xda]).unwrap();
        let marker = |w: &[u8]| w[0] == 0xff && w[1] != 0;
        let end = first + 2 + whole[first + 2..].windows(2).position(marker).unwrap();
        let with = |scans: usize| [&whole[..first], &whole[first..end].repeat(scans), &whole[end..]].concat();
        assert!(decode(&with(3)).is_some());
        assert!(decode(&with(MAX_SCANS)).is_none());
    }
}
