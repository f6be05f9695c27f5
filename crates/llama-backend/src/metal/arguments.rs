//! Arguments of the kernels: one struct each, the same on the host and in the source, which a test compares.
//!
//! Fields are ordered so that there is no padding. Offsets are in bytes, strides in elements.

#[cfg(test)]
use super::source::Source;

/// Declares the structs, and for the test what they look like in memory.
macro_rules! arguments {
    ($($(#[$doc:meta])* $name:ident in $source:ident { $($field:ident: $ty:ty),+ $(,)? })+) => {
        $(
            $(#[$doc])*
            #[repr(C)]
            #[derive(Clone, Copy, Debug)]
            pub(crate) struct $name {
                $(pub(crate) $field: $ty),+
            }
        )+

        /// Each struct: its source, name, size, and per field name, type, offset and size.
        #[cfg(test)]
        fn layouts() -> Vec<tests::Layout> {
            vec![$((
                Source::$source,
                stringify!($name),
                size_of::<$name>(),
                vec![$((
                    stringify!($field),
                    stringify!($ty),
                    std::mem::offset_of!($name, $field),
                    size_of::<$ty>(),
                )),+],
            )),+]
        }
    };
}

arguments! {
    /// Of `attend_rows`, `merge_chunks` and `attend_tile`.
    AttentionArgs in PagedAttention {
        num_heads: u32, num_kv_heads: u32, head_dim: u32, block_len: u32, q_row_stride: u32, q_head_stride: u32,
        window: u32, num_chunks: u32, chunk_len: u32, min_tile_rows: u32, scale: f32, padding: u32,
    }
    /// Of `embed`.
    EmbedArgs in Embed { table_offset: u64, row_bytes: u64, num_rows: u32, width: u32 }
    /// Of `gated_few`.
    GatedLinearArgs in Linear {
        gate_offset: u64, gate_row_bytes: u64, up_offset: u64, up_row_bytes: u64, num_rows: u32, in_features: u32,
        out_features: u32, x_stride: u32,
    }
    /// Of `kv_write`.
    KvWriteArgs in KvWrite {
        num_values: u32, num_heads: u32, head_dim: u32, row_stride: u32, head_stride: u32, padding: u32,
    }
    /// Of `linear_few` and `linear_tile`.
    LinearArgs in Linear {
        weight_offset: [u64; 3], row_bytes: [u64; 3], bias_offset: [u64; 3], out_features: [u32; 3], num_rows: u32,
        in_features: u32, x_stride: u32, out_stride: u32, first_column: u32,
    }
    /// Of `residual`.
    ResidualArgs in Residual { num_values: u32, width: u32, x_stride: u32, y_stride: u32 }
    /// Of `rms_norm`.
    RmsNormArgs in RmsNorm {
        weight_offset: u64, width: u32, inner_rows: u32, outer_stride: u32, inner_stride: u32, eps: f32,
        num_simdgroups: u32,
    }
    /// Of `rope`.
    RopeArgs in Rope {
        num_pairs: u32, num_heads: u32, half_dim: u32, row_stride: u32, head_stride: u32, adjacent: u32,
    }
    /// Of `swiglu`.
    SwiGluArgs in SwiGlu { num_values: u32, width: u32, row_stride: u32, padding: u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Field = (&'static str, &'static str, usize, usize);
    pub(super) type Layout = (Source, &'static str, usize, Vec<Field>);

    /// The struct `name` of a source: its size, and per field name, type and offset by the language's rules.
    fn parse(text: &str, name: &str) -> (usize, Vec<(String, String, usize)>) {
        let body = text.split_once(&format!("struct {name} {{")).unwrap().1.split_once("};").unwrap().0;
        let (mut end, mut widest) = (0usize, 1);
        let declarations = body.split(';').map(str::trim).filter(|line| !line.is_empty());
        let fields = declarations.map(|line| {
            let (ty, field) = line.split_once(' ').unwrap();
            let (ty, size) = match ty {
                "uint" => ("u32", 4),
                "float" => ("f32", 4),
                "ulong" => ("u64", 8),
                _ => panic!("{name}: {line}"),
            };
            let offset = end.next_multiple_of(size);
            widest = widest.max(size);
            let (field, ty, len) = match field.strip_suffix(']').and_then(|field| field.split_once('[')) {
                Some((field, len)) => (field, format!("[{ty}; {len}]"), len.parse().unwrap()),
                None => (field, ty.to_owned(), 1),
            };
            end = offset + size * len;
            (field.to_owned(), ty, offset)
        });
        let fields: Vec<_> = fields.collect();
        (end.next_multiple_of(widest), fields)
    }

    #[test]
    fn host_and_kernel_agree() {
        for (source, name, size, fields) in layouts() {
            let (parsed_size, parsed) = parse(source.text(), name);
            let ours: Vec<_> =
                fields.iter().map(|&(field, ty, at, _)| (field.to_owned(), ty.to_owned(), at)).collect();
            assert_eq!((size, &ours), (parsed_size, &parsed), "{name}");
            let bytes: usize = fields.iter().map(|(.., bytes)| bytes).sum();
            assert_eq!(bytes, size, "{name} has padding");
        }
    }
}
