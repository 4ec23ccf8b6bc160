//! Entropy-coded data to coefficients: Huffman codes, in one pass or in many of rising precision (T.81, annexes F and G).

use super::{Block, ZIGZAG};

/// Bits of a code that are looked up at once.
const AHEAD: u32 = 9;

/// A code: the symbol of every short prefix, and where the codes of each length end.
pub(super) struct Huffman {
    /// Length and symbol; length 0 for longer codes.
    short: Vec<(u8, u8)>,
    /// For each length, the first code beyond it (left-aligned to 16 bits) and what leads from a code to its symbol.
    ends: [(u32, i32); 17],
    symbols: Vec<u8>,
}

impl Huffman {
    pub fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self { short: vec![(0, 0); 1 << AHEAD], ends: [(0, 0); 17], symbols: symbols.to_vec() };
        let (mut code, mut at) = (0u32, 0);
        for length in 1..=16 {
            let count = u32::from(counts[length - 1]);
            table.ends[length].1 = at - code as i32;
            for _ in 0..count {
                if length as u32 <= AHEAD {
                    let (from, step) = ((code << (AHEAD - length as u32)) as usize, 1 << (AHEAD - length as u32));
                    table.short.get_mut(from..from + step)?.fill((length as u8, symbols[at as usize]));
                }
                (code, at) = (code + 1, at + 1);
            }
            if code > 1 << length {
                return None;
            }
            table.ends[length].0 = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }

    fn symbol(&self, bits: &mut Bits) -> Option<u8> {
        let ahead = bits.peek(16);
        let (length, symbol) = self.short[(ahead >> (16 - AHEAD)) as usize];
        if length > 0 {
            bits.skip(u32::from(length))?;
            return Some(symbol);
        }
        let length = (AHEAD as usize + 1..=16).find(|&l| ahead < self.ends[l].0)?;
        bits.skip(length as u32)?;
        let code = (ahead >> (16 - length)) as i32;
        self.symbols.get((code + self.ends[length].1) as usize).copied()
    }
}

/// The bits of a scan, without what keeps them apart from markers.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, held: 0, count: 0 }
    }

    fn fill(&mut self) {
        while self.count <= 48 {
            let byte = match (self.data.get(self.at), self.data.get(self.at + 1)) {
                (Some(0xff), Some(0)) => {
                    self.at += 1;
                    0xff
                }
                (Some(0xff), _) | (None, _) => return, // a marker, or the end
                (Some(&byte), _) => byte,
            };
            self.at += 1;
            self.held = self.held << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    /// The next `n` bits, up to 16; zeros beyond the end.
    fn peek(&mut self, n: u32) -> u32 {
        if self.count < n {
            self.fill();
        }
        let bits = if self.count >= n { self.held >> (self.count - n) } else { self.held << (n - self.count) };
        bits as u32 & ((1 << n) - 1)
    }

    fn skip(&mut self, n: u32) -> Option<()> {
        self.count = self.count.checked_sub(n)?;
        Some(())
    }

    fn take(&mut self, n: u32) -> Option<i32> {
        let bits = self.peek(n);
        self.skip(n)?;
        Some(bits as i32)
    }

    /// A number of `n` bits, negative ones from below (T.81, table F.1).
    fn number(&mut self, n: u32) -> Option<i32> {
        match n {
            0 => Some(0),
            1..=15 => self.take(n).map(|v| if v < 1 << (n - 1) { v + 1 - (1 << n) } else { v }),
            _ => None,
        }
    }

    /// Goes on after the restart marker of this number.
    pub fn restart(&mut self, number: usize) -> Option<()> {
        (self.held, self.count) = (0, 0);
        while self.data.get(self.at + 1) == Some(&0xff) {
            self.at += 1;
        }
        let marker = [0xff, 0xd0 + (number % 8) as u8];
        (self.data.get(self.at..self.at + 2)? == marker).then(|| self.at += 2)
    }

    /// Bytes up to the marker that ended the scan.
    pub fn taken(&mut self) -> usize {
        // What was read ahead is never a marker.
        self.at
    }
}

/// Which coefficients a scan brings, and to which bit.
#[derive(Clone, Copy)]
pub(super) struct Scan {
    pub start: u8,
    pub end: u8,
    pub high: u8,
    pub low: u8,
    pub progressive: bool,
}

/// What lasts from block to block.
#[derive(Default)]
pub(super) struct State {
    last: [i32; 4],
    /// Blocks without further coefficients.
    ended: u32,
}

type Tables<'a> = (Option<&'a Huffman>, Option<&'a Huffman>);

impl Scan {
    pub fn check(&self, parts: usize) -> bool {
        let band = self.start <= self.end && self.end < 64 && (self.start > 0 || self.end == 0 || !self.progressive);
        let bits = self.low <= 13 && (self.high == 0 || self.high == self.low + 1);
        (1..=3).contains(&parts) && band && bits && (self.start == 0 || parts == 1)
    }

    pub fn block(
        &self,
        bits: &mut Bits,
        (dc, ac): Tables,
        slot: usize,
        state: &mut State,
        block: &mut Block,
    ) -> Option<()> {
        match (self.progressive, self.start, self.high) {
            (false, ..) => {
                self.mean(bits, dc?, &mut state.last[slot], block)?;
                self.details(bits, ac?, 1, &mut state.ended, block)
            }
            (true, 0, 0) => self.mean(bits, dc?, &mut state.last[slot], block),
            (true, 0, _) => {
                block[0] |= (bits.take(1)? << self.low) as i16;
                Some(())
            }
            (true, start, 0) => self.details(bits, ac?, start, &mut state.ended, block),
            _ => self.refine(bits, ac?, &mut state.ended, block),
        }
    }

    fn mean(&self, bits: &mut Bits, table: &Huffman, last: &mut i32, block: &mut Block) -> Option<()> {
        let length = table.symbol(bits)?;
        *last = last.wrapping_add(bits.number(u32::from(length))?);
        block[0] = (*last << self.low) as i16;
        Some(())
    }

    fn details(&self, bits: &mut Bits, table: &Huffman, start: u8, ended: &mut u32, block: &mut Block) -> Option<()> {
        if *ended > 0 {
            *ended -= 1;
            return Some(());
        }
        let mut k = usize::from(start);
        while k <= usize::from(self.end) {
            let symbol = table.symbol(bits)?;
            let (run, length) = (symbol >> 4, symbol & 15);
            match (run, length) {
                (15, 0) => k += 16,
                (_, 0) if !self.progressive => return Some(()),
                (_, 0) => {
                    *ended = (1 << run) + bits.take(u32::from(run))? as u32 - 1;
                    return Some(());
                }
                _ => {
                    k += usize::from(run);
                    let at = usize::from(*ZIGZAG.get(k)?);
                    block[at] = (bits.number(u32::from(length))? << self.low) as i16;
                    k += 1;
                }
            }
        }
        Some(())
    }

    /// One more bit of coefficients (G.1.2.3): those that are not zero are corrected on the way to each new one.
    fn refine(&self, bits: &mut Bits, table: &Huffman, ended: &mut u32, block: &mut Block) -> Option<()> {
        let (one, end) = (1i16 << self.low, usize::from(self.end));
        let mut k = usize::from(self.start);
        if *ended == 0 {
            while k <= end {
                let symbol = table.symbol(bits)?;
                let (mut run, length) = (symbol >> 4, symbol & 15);
                let mut new = 0;
                match length {
                    0 if run < 15 => {
                        *ended = (1 << run) + bits.take(u32::from(run))? as u32;
                        break;
                    }
                    0 => {}
                    1 => new = if bits.take(1)? == 1 { one } else { -one },
                    _ => return None,
                }
                while k <= end {
                    let value = &mut block[usize::from(ZIGZAG[k])];
                    k += 1;
                    if *value != 0 {
                        correct(bits, value, one)?;
                    } else if run == 0 {
                        *value = new;
                        break;
                    } else {
                        run -= 1;
                    }
                }
            }
        }
        if *ended > 0 {
            for &at in &ZIGZAG[k..=end] {
                let value = &mut block[usize::from(at)];
                if *value != 0 {
                    correct(bits, value, one)?;
                }
            }
            *ended -= 1;
        }
        Some(())
    }
}

fn correct(bits: &mut Bits, value: &mut i16, one: i16) -> Option<()> {
    if bits.take(1)? == 1 && *value & one == 0 {
        *value = value.wrapping_add(if *value > 0 { one } else { -one });
    }
    Some(())
}
