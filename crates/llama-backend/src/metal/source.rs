//! The kernel libraries: one source per operation, compiled on first use.

/// A library of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// `ops/embed`
    Embed,
    /// `ops/kv_write`
    KvWrite,
    /// `ops/linear`
    Linear,
    /// `ops/paged_attention`
    PagedAttention,
    /// `ops/residual`
    Residual,
    /// `ops/rms_norm`
    RmsNorm,
    /// `ops/rope`
    Rope,
    /// `ops/swiglu`
    SwiGlu,
}

/// A source behind what all of them begin with.
macro_rules! library {
    ($path:literal) => {
        concat!(include_str!("stored.metal"), include_str!(concat!("../ops/", $path)))
    };
}

impl Source {
    /// Every library.
    #[cfg(test)]
    const ALL: [Self; 8] = [
        Self::Embed,
        Self::KvWrite,
        Self::Linear,
        Self::PagedAttention,
        Self::Residual,
        Self::RmsNorm,
        Self::Rope,
        Self::SwiGlu,
    ];

    /// Its text, in the Metal Shading Language.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Embed => library!("embed/embed.metal"),
            Self::KvWrite => library!("kv_write/kv_write.metal"),
            Self::Linear => library!("linear/linear.metal"),
            Self::PagedAttention => library!("paged_attention/paged_attention.metal"),
            Self::Residual => library!("residual/residual.metal"),
            Self::RmsNorm => library!("rms_norm/rms_norm.metal"),
            Self::Rope => library!("rope/rope.metal"),
            Self::SwiGlu => library!("swiglu/swiglu.metal"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parameter lists of a library's kernels, comments removed.
    fn parameter_lists(text: &str) -> Vec<Vec<String>> {
        let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
        let code = code.join("\n");
        let kernels = code.split("[[kernel]] void ").skip(1);
        kernels
            .map(|kernel| {
                let list = kernel.split_once('(').unwrap().1.split_once(") {").unwrap().0;
                list.split(",\n").map(|parameter| parameter.trim().to_owned()).collect()
            })
            .collect()
    }

    #[test]
    fn parameters_say_where_they_live_and_are_numbered_in_order() {
        for source in Source::ALL {
            let lists = parameter_lists(source.text());
            assert!(!lists.is_empty(), "{source:?} has no kernel");
            for list in lists {
                let buffers: Vec<&String> = list.iter().filter(|text| text.contains("[[buffer(")).collect();
                for (i, buffer) in buffers.iter().enumerate() {
                    let spaces = ["device ", "constant "];
                    assert!(spaces.iter().any(|space| buffer.starts_with(space)), "{source:?}: {buffer}");
                    assert!(
                        buffer.ends_with(&format!("[[buffer({i})]]")),
                        "{source:?}: {buffer}, expected {i}"
                    );
                }
                for pointer in list.iter().filter(|text| text.contains(['*', '&'])) {
                    let placed = pointer.contains("[[buffer(") || pointer.contains("[[threadgroup(");
                    assert!(placed, "{source:?}: {pointer} has no index");
                }
            }
        }
    }

    #[test]
    fn each_kernel_exists_for_three_dtypes() {
        for source in Source::ALL {
            let text = source.text();
            let hosts: Vec<&str> =
                text.split("host_name(\"").skip(1).map(|s| s.split('"').next().unwrap()).collect();
            assert!(hosts.len() >= 3 && hosts.len().is_multiple_of(3), "{source:?}: {hosts:?}");
            let stems = |suffix| hosts.iter().filter_map(move |host| host.strip_suffix(suffix));
            assert!(stems("_f32").eq(stems("_f16")), "{source:?}: {hosts:?}");
            assert!(stems("_f32").eq(stems("_bf16")), "{source:?}: {hosts:?}");
        }
    }
}
