//! Which buffers of a record batch belong to which column: they come depth first, as many as the type has.

use crate::data::rows::Kind;
use arrow_ipc::{Buffer, FieldNode, RecordBatch, Type, UnionMode};

/// How deep types may be nested.
const DEPTH: usize = 32;

/// A column of the schema, as far as its buffers go.
pub(super) struct Field {
    pub name: String,
    shape: Shape,
    of: Vec<Field>,
}

/// What buffers a type has, besides those of its children.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// So many, of which nothing is read; or a node without any.
    Plain(usize),
    /// Validity, offsets and data; text or bytes.
    Bytes {
        wide: bool,
        text: bool,
    },
    List {
        wide: bool,
    },
    Struct,
    /// Validity, views and as many buffers as the batch says; text or bytes.
    View {
        text: bool,
    },
}

/// Bytes of a batch's body, all of them within it.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub offset: u64,
    pub length: u64,
}

/// A column of one batch.
pub(super) enum Array {
    Bytes {
        rows: usize,
        valid: Span,
        offsets: Span,
        wide: bool,
        data: Span,
    },
    /// Each value in its view, if it is short, or in one of the buffers of `data`.
    Views {
        rows: usize,
        valid: Span,
        views: Span,
        data: Vec<Span>,
    },
    Many {
        rows: usize,
        valid: Span,
        offsets: Span,
        wide: bool,
        of: Box<Array>,
    },
    Struct {
        rows: usize,
        valid: Span,
        of: Vec<(String, Array)>,
    },
    Other {
        rows: usize,
    },
}

impl Array {
    pub fn rows(&self) -> usize {
        match self {
            Self::Bytes { rows, .. }
            | Self::Views { rows, .. }
            | Self::Many { rows, .. }
            | Self::Struct { rows, .. }
            | Self::Other { rows } => *rows,
        }
    }
}

impl Field {
    pub fn read(field: &arrow_ipc::Field<'_>, depth: usize) -> Result<Self, String> {
        if depth > DEPTH {
            return Err(format!("its types are nested over {DEPTH} deep"));
        }
        let name = field.name().unwrap_or_default().to_owned();
        if field.dictionary().is_some() {
            return Ok(Self { name, shape: Shape::Plain(2), of: Vec::new() });
        }
        let of: Vec<Self> = field
            .children()
            .into_iter()
            .flatten()
            .map(|child| Self::read(&child, depth + 1))
            .collect::<Result<_, _>>()?;
        let shape = match field.type_type() {
            Type::Null | Type::RunEndEncoded => Shape::Plain(0),
            Type::Utf8 => Shape::Bytes { wide: false, text: true },
            Type::LargeUtf8 => Shape::Bytes { wide: true, text: true },
            Type::Binary => Shape::Bytes { wide: false, text: false },
            Type::LargeBinary => Shape::Bytes { wide: true, text: false },
            Type::List if of.len() == 1 => Shape::List { wide: false },
            Type::LargeList if of.len() == 1 => Shape::List { wide: true },
            Type::Map => Shape::Plain(2),
            Type::FixedSizeList => Shape::Plain(1),
            Type::Struct_ => Shape::Struct,
            Type::Utf8View => Shape::View { text: true },
            Type::BinaryView => Shape::View { text: false },
            Type::ListView | Type::LargeListView => Shape::Plain(3),
            Type::Union => {
                let dense = field.type_as_union().is_some_and(|union| union.mode() == UnionMode::Dense);
                Shape::Plain(if dense { 2 } else { 1 })
            }
            Type::Bool
            | Type::Int
            | Type::FloatingPoint
            | Type::Decimal
            | Type::Date
            | Type::Time
            | Type::Timestamp
            | Type::Interval
            | Type::Duration
            | Type::FixedSizeBinary => Shape::Plain(2),
            other => return Err(format!("column \"{name}\" has the type {other:?}, which is not read")),
        };
        Ok(Self { name, shape, of })
    }

    /// What its cells hold, as rows are made of it.
    pub fn kind(&self) -> Kind {
        let is = |kind| move |field: &Self| matches!(field.shape, Shape::Bytes { text, .. } | Shape::View { text } if text == kind);
        match self.shape {
            Shape::Bytes { text: true, .. } | Shape::View { text: true } => Kind::Text,
            Shape::Bytes { text: false, .. } | Shape::View { text: false } => Kind::Picture,
            Shape::List { .. } if self.of.iter().all(is(true)) => Kind::Text,
            Shape::Struct if self.of.iter().any(|field| field.name == "bytes" && is(false)(field)) => Kind::Picture,
            _ => Kind::Other,
        }
    }
}

/// Nodes and buffers that are left of a batch.
struct Left<'a> {
    nodes: Box<dyn Iterator<Item = FieldNode> + 'a>,
    buffers: Box<dyn Iterator<Item = Buffer> + 'a>,
    views: Box<dyn Iterator<Item = i64> + 'a>,
    body: u64,
}

/// The columns of a batch and how many rows it has; all that they say lies within `body` bytes.
pub(super) fn columns(batch: &RecordBatch<'_>, fields: &[Field], body: u64) -> Result<(usize, Vec<Array>), String> {
    if batch.compression().is_some() {
        return Err("a compressed batch, which is not read; save it without compression".into());
    }
    let mut left = Left {
        nodes: Box::new(batch.nodes().into_iter().flat_map(|nodes| nodes.iter().copied())),
        buffers: Box::new(batch.buffers().into_iter().flat_map(|buffers| buffers.iter().copied())),
        views: Box::new(batch.variadicBufferCounts().into_iter().flatten()),
        body,
    };
    let rows = usize::try_from(batch.length()).map_err(|_| "a batch claims a negative number of rows".to_owned())?;
    let columns = fields.iter().map(|field| left.array(field)).collect::<Result<Vec<_>, _>>()?;
    match columns.iter().find(|column| column.rows() != rows) {
        Some(odd) => Err(format!("a batch of {rows} rows has a column of {}", odd.rows())),
        None => Ok((rows, columns)),
    }
}

impl Left<'_> {
    fn array(&mut self, field: &Field) -> Result<Array, String> {
        let lacks = || "a batch lacks columns that the schema has".to_owned();
        let rows = self.nodes.next().and_then(|node| u32::try_from(node.length()).ok()).ok_or_else(lacks)? as usize;
        match field.shape {
            Shape::Bytes { wide, .. } => {
                let [valid, offsets, data] = [self.span()?, self.span()?, self.span()?];
                Ok(Array::Bytes { rows, valid, offsets, wide, data })
            }
            Shape::List { wide } => {
                let [valid, offsets] = [self.span()?, self.span()?];
                Ok(Array::Many { rows, valid, offsets, wide, of: Box::new(self.array(&field.of[0])?) })
            }
            Shape::Struct => {
                let valid = self.span()?;
                let child = |of: &Field| Ok((of.name.clone(), self.array(of)?));
                Ok(Array::Struct { rows, valid, of: field.of.iter().map(child).collect::<Result<_, String>>()? })
            }
            Shape::View { .. } => {
                let more = self.views.next().and_then(|n| u32::try_from(n).ok()).ok_or_else(lacks)?;
                let [valid, views] = [self.span()?, self.span()?];
                let data = (0..more).map(|_| self.span()).collect::<Result<_, _>>()?;
                Ok(Array::Views { rows, valid, views, data })
            }
            Shape::Plain(buffers) => {
                (0..buffers).try_for_each(|_| self.span().map(drop))?;
                field.of.iter().try_for_each(|of| self.array(of).map(drop))?;
                Ok(Array::Other { rows })
            }
        }
    }

    fn span(&mut self) -> Result<Span, String> {
        let buffer = self.buffers.next().ok_or("a batch lacks buffers that its columns have")?;
        let (offset, length) = (buffer.offset().cast_unsigned(), buffer.length().cast_unsigned());
        if offset.checked_add(length).is_none_or(|end| end > self.body) {
            return Err("a buffer lies outside its batch".into());
        }
        Ok(Span { offset, length })
    }
}
