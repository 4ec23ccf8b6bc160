//! Thrift's compact protocol, walked without keeping anything: metadata of a foreign file is looked at before a reader that
//! trusts it makes room for what it claims. <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>

/// How deep structures may lie in each other.
const DEPTH: usize = 32;

/// What a field must be; a reader that expects another type than the file says would go on at another byte than this walk.
pub(super) enum Kind {
    Int,
    Byte,
    Double,
    Binary,
    Bool,
    Struct(Fields),
    List(&'static Kind),
}

/// The known fields of a structure by number. Others are passed over by the type that the file says.
pub(super) type Fields = &'static [(i16, Kind)];

/// Sees the numbers of the fields down to an integer or truth, and its value; at a structure's end its own numbers and none.
pub(super) type See<'a> = &'a mut dyn FnMut(&[i16], Option<i64>);

/// Walks the structure that `bytes` begin with; its length, or none if it is no such structure.
pub(super) fn walk(bytes: &[u8], fields: Fields, see: See<'_>) -> Option<usize> {
    let mut walk = Walk { bytes, at: 0, path: Vec::new(), see };
    walk.structure(fields)?;
    Some(walk.at)
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    path: Vec<i16>,
    see: See<'a>,
}

impl Walk<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn pass(&mut self, bytes: u64) -> Option<()> {
        let end = self.at.checked_add(usize::try_from(bytes).ok()?)?;
        self.at = Some(end).filter(|&end| end <= self.bytes.len())?;
        Some(())
    }

    fn structure(&mut self, fields: Fields) -> Option<()> {
        let mut last = 0i16;
        loop {
            let head = self.byte()?;
            if head & 15 == 0 {
                (self.see)(&self.path, None);
                return Some(());
            }
            let id = match head >> 4 {
                0 => i16::try_from(self.zigzag()?).ok()?,
                step => last.checked_add(i16::from(step))?,
            };
            if self.path.len() == DEPTH {
                return None;
            }
            self.path.push(id);
            self.value(head & 15, fields.iter().find(|(known, _)| *known == id).map(|(_, kind)| kind), 0)?;
            self.path.pop();
            last = id;
        }
    }

    fn value(&mut self, coded: u8, kind: Option<&Kind>, lists: usize) -> Option<()> {
        let fits = match kind {
            None => true,
            Some(Kind::Bool) => matches!(coded, 1 | 2),
            Some(Kind::Byte) => coded == 3,
            Some(Kind::Int) => matches!(coded, 4..=6),
            Some(Kind::Double) => coded == 7,
            Some(Kind::Binary) => coded == 8,
            Some(Kind::List(_)) => coded == 9,
            Some(Kind::Struct(_)) => coded == 12,
        };
        if !fits {
            return None;
        }
        match (coded, kind) {
            (1 | 2, _) => (self.see)(&self.path, Some(i64::from(coded == 1))),
            (3, _) => self.pass(1)?,
            (4..=6, _) => {
                let value = self.zigzag()?;
                (self.see)(&self.path, Some(value));
            }
            (7, _) => self.pass(8)?,
            (8, _) => {
                let length = self.varint()?;
                self.pass(length)?;
            }
            (9 | 10, Some(Kind::List(kind))) => self.list(Some(kind), lists)?,
            (9 | 10, _) => self.list(None, lists)?,
            (12, Some(Kind::Struct(fields))) => self.structure(fields)?,
            (12, _) => self.structure(&[])?,
            (13, _) => self.pass(16)?,
            // Parquet has no maps.
            _ => return None,
        }
        Some(())
    }

    fn list(&mut self, kind: Option<&Kind>, lists: usize) -> Option<()> {
        let head = self.byte()?;
        let size = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        // Truths take no byte each when they are passed over: there could be any number. Parquet has no lists of them here.
        if size > (self.bytes.len() - self.at) as u64 || lists == DEPTH || size > 0 && matches!(head & 15, 1 | 2) {
            return None;
        }
        (0..size).try_for_each(|_| self.value(head & 15, kind, lists + 1))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const FIELDS: Fields = &[(1, Kind::Int), (2, Kind::List(&Kind::Struct(&[(1, Kind::Binary)]))), (3, Kind::Bool)];

    /// Fields by their path, with the numbers among them.
    type Seen = Vec<(Vec<i16>, Option<i64>)>;

    fn seen(bytes: &[u8]) -> Option<(usize, Seen)> {
        let mut seen = Vec::new();
        walk(bytes, FIELDS, &mut |path, value| seen.push((path.to_vec(), value))).map(|length| (length, seen))
    }

    #[test]
    fn a_structure_is_walked_to_its_end_and_its_numbers_are_seen() {
        // 1: -3, 2: [{1: "ab"}, {}], 3: true, and a byte that is another's.
        let bytes = [0x15, 5, 0x19, 0x2c, 0x18, 2, b'a', b'b', 0, 0, 0x11, 0, 9];
        let (length, seen) = seen(&bytes).unwrap();
        assert_eq!(length, bytes.len() - 1);
        assert_eq!(seen[0], (vec![1], Some(-3)));
        assert_eq!(seen[1..3], [(vec![2], None), (vec![2], None)]);
        assert_eq!(seen[3..], [(vec![3], Some(1)), (vec![], None)]);
    }

    #[test]
    fn what_claims_more_than_there_is_or_another_type_is_no_structure() {
        let nested: Vec<u8> = std::iter::repeat_n(0x4c, 100_000).collect();
        let lists: Vec<u8> = [0x49].into_iter().chain(std::iter::repeat_n(0x19, 100_000)).collect();
        let claims: [&[u8]; 8] = [
            &[0x15],
            &[0x18, 1, b'a', 0],
            &[0x19, 0xfc, 0xff, 0xff, 0x7f],
            &[0x48, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0],
            &[0x49, 0xf1, 0xff, 0xff, 0x7f, 0],
            &[0x1b, 0],
            &nested,
            &lists,
        ];
        claims.iter().for_each(|bytes| assert!(seen(bytes).is_none(), "{:?}", &bytes[..bytes.len().min(12)]));
    }
}
