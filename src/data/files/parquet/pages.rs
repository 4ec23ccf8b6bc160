//! Pages as the crate unpacked them, looked at before its decoders make room for the numbers in them.

use parquet::{
    basic::Encoding,
    column::page::{Page, PageMetadata, PageReader},
    errors::ParquetError,
};

type Result<T> = std::result::Result<T, ParquetError>;

/// The pages of a column of text: what each claims to hold is there, and is not worth more than `bytes` in all.
pub(super) struct Checked {
    pub inner: Box<dyn PageReader>,
    /// Rows to come, or values.
    pub rows: u64,
    /// Whether rows may be null, and whether they may have several values.
    pub nullable: bool,
    pub lists: bool,
    pub bytes: u64,
}

impl Iterator for Checked {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Checked {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.inner.get_next_page()?;
        match page.as_ref().map_or(Ok(()), |page| self.check(page)) {
            Ok(()) => Ok(page),
            Err(what) => Err(ParquetError::General(what)),
        }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.inner.skip_next_page()
    }
}

impl Checked {
    fn check(&mut self, page: &Page) -> std::result::Result<(), String> {
        let count = u64::from(page.num_values());
        let bytes = page.buffer();
        if let Page::DictionaryPage { .. } = page {
            // Each value has its length before it.
            let fits = count <= bytes.len() as u64 / 4;
            return if fits { Ok(()) } else { Err(format!("a dictionary claims {count} values")) };
        }
        self.rows = self.rows.checked_sub(count).ok_or(format!("a page claims {count} rows"))?;
        if !matches!(page.encoding(), Encoding::DELTA_BYTE_ARRAY | Encoding::DELTA_LENGTH_BYTE_ARRAY) {
            return Ok(());
        }
        let damaged = || "a page's lengths are damaged".to_owned();
        let values = self.levels(page).and_then(|from| bytes.get(from..)).ok_or_else(damaged)?;
        let (first, end) = delta(values, count).ok_or_else(damaged)?;
        let mut worth = first;
        if page.encoding() == Encoding::DELTA_BYTE_ARRAY {
            // Prefixes, each of the text before; then what follows them.
            worth += delta(&values[end..], count).ok_or_else(damaged)?.0;
        }
        self.bytes = self.bytes.checked_sub(worth).ok_or(format!("a page holds {worth} bytes of text"))?;
        Ok(())
    }

    /// Where a page's values begin.
    fn levels(&self, page: &Page) -> Option<usize> {
        match page {
            Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
                (*def_levels_byte_len as usize).checked_add(*rep_levels_byte_len as usize)
            }
            Page::DataPage { buf, def_level_encoding: Encoding::RLE, rep_level_encoding: Encoding::RLE, .. } => {
                let mut at = 0usize;
                for _ in 0..usize::from(self.nullable) + usize::from(self.lists) {
                    at = at.checked_add(u32::from_le_bytes(*buf.get(at..)?.first_chunk()?) as usize)?.checked_add(4)?;
                }
                Some(at)
            }
            _ => (!self.nullable && !self.lists).then_some(0),
        }
    }
}

/// Numbers packed as differences (DELTA_BINARY_PACKED), at most `most` of them: their sum, negative ones left out, and where
/// they end. <https://github.com/apache/parquet-format/blob/master/Encodings.md>
fn delta(bytes: &[u8], most: u64) -> Option<(u64, usize)> {
    let mut at = 0;
    let varint = |at: &mut usize| {
        let mut value = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = *bytes.get(*at)?;
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    };
    let zigzag = |value: u64| (value >> 1).cast_signed() as i32 ^ -((value & 1) as i32);
    let (block, parts, count) = (varint(&mut at)?, varint(&mut at)?, varint(&mut at)?);
    let mut value = zigzag(varint(&mut at)?);
    let per_part = block.checked_div(parts).filter(|n| (1..=1 << 20).contains(n) && n * parts == block)? as usize;
    if count > most || parts > 1 << 10 {
        return None;
    }
    let mut sum = if count > 0 { u64::from(value.max(0).cast_unsigned()) } else { 0 };
    let mut left = count.saturating_sub(1) as usize;
    while left > 0 {
        let least = zigzag(varint(&mut at)?);
        let widths = bytes.get(at..at + parts as usize)?;
        at += parts as usize;
        for &width in widths {
            if left == 0 {
                break;
            }
            // The last part may be cut off after its last number.
            let some = left.min(per_part);
            let packed = bytes.get(at..)?;
            if width > 32 || packed.len() < (some * usize::from(width)).div_ceil(8) {
                return None;
            }
            for i in 0..some {
                value = value.wrapping_add(least).wrapping_add(bits(packed, i * usize::from(width), width));
                sum += u64::from(value.max(0).cast_unsigned());
            }
            at = bytes.len().min(at + per_part * usize::from(width) / 8);
            left -= some;
        }
    }
    Some((sum, at))
}

/// `width` bits of `bytes` from bit `from` on, the lowest first.
fn bits(bytes: &[u8], from: usize, width: u8) -> i32 {
    let mut eight = [0; 8];
    let some = bytes.get(from / 8..).unwrap_or_default();
    let length = some.len().min(8);
    eight[..length].copy_from_slice(&some[..length]);
    let all = u64::from_le_bytes(eight) >> (from % 8);
    (all & ((1 << width) - 1)) as u32 as i32
}
