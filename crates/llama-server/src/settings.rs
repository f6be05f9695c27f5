//! Settings of the program: from flags, the environment, a file and defaults, in this order of precedence.
//!
//! All layers are one table of names and values, so that a setting is one field and one line of its documentation; names that nobody knows are
//! refused in every layer.

use std::{env, ffi::OsString, fs, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, Command};
use llama_hub::DEFAULT_MODEL;
use llama_runtime::EngineOptions;
use llama_server::{ApiKey, Limits, ServerConfig};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// The model, and the engine under it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ModelSettings {
    /// Name of a known model, a directory in Hugging Face form, or a .gguf file.
    pub(crate) model: String,
    /// auto, cpu, metal or cuda.
    pub(crate) device: String,
    /// Most tokens of a sequence; null is the model's own limit.
    context_len: Option<usize>,
    /// Tokens that the cache holds; null is chosen by the context.
    cache_tokens: Option<usize>,
}

/// Where to listen, and to whom.
#[derive(Debug, Serialize, Deserialize)]
struct ListenSettings {
    address: SocketAddr,
    api_keys: Vec<String>,
    cors_origins: Vec<String>,
}

/// As [`Limits`], with times in seconds.
#[derive(Debug, Serialize, Deserialize)]
struct LimitSettings {
    max_body_bytes: usize,
    max_prompt_tokens: usize,
    max_tokens: usize,
    max_time_s: u64,
    max_answers: usize,
    max_running: usize,
    max_waiting: usize,
    max_contexts: usize,
    max_connections: usize,
    client_timeout_s: u64,
    drain_timeout_s: u64,
}

/// Where else requests are told to.
#[cfg(feature = "otel")]
#[derive(Debug, Serialize, Deserialize)]
struct TelemetrySettings {
    /// A collector's address; null is what OTEL_EXPORTER_OTLP_ENDPOINT says.
    otlp_endpoint: Option<String>,
}

/// All settings, with their values.
#[derive(Debug)]
pub(crate) struct Settings(Map<String, Value>);

impl Settings {
    /// Reads all layers.
    ///
    /// # Errors
    /// If a name is unknown, a value makes no sense, or the file cannot be read.
    pub(crate) fn read(
        arguments: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let mut values = defaults();
        let matches = command(&values).get_matches_from(arguments);
        let from_environment = |name: &str| variable(&format!("LLAMA_SERVER_{}", name.to_uppercase()));
        let file = matches.get_one::<String>("config").cloned().or_else(|| from_environment("config"));
        let mut layers = Map::new();
        if let Some(path) = file {
            let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
            layers = toml::from_str(&text).with_context(|| format!("in {path}"))?;
            if let Some(name) = layers.keys().find(|name| !values.contains_key(*name)) {
                bail!("{path}: there is no setting `{name}`");
            }
        }
        for (name, default) in &values {
            let flag = matches.get_one::<String>(name).cloned();
            if let Some(text) = flag.or_else(|| from_environment(name)) {
                layers.insert(name.clone(), parse(&text, default).with_context(|| name.clone())?);
            }
        }
        values.extend(layers);
        let settings = Self(values);
        settings.config()?;
        settings.group::<ModelSettings>()?;
        Ok(settings)
    }

    /// Of the model.
    pub(crate) fn model(&self) -> anyhow::Result<(PathBuf, EngineOptions)> {
        let settings: ModelSettings = self.group()?;
        let options = EngineOptions {
            device: settings.device.parse().context("device")?,
            context_len: settings.context_len,
            cache_tokens: settings.cache_tokens,
            ..EngineOptions::default()
        };
        Ok((settings.model.into(), options))
    }

    /// Of the server.
    pub(crate) fn config(&self) -> anyhow::Result<ServerConfig> {
        let listen: ListenSettings = self.group()?;
        let limits: LimitSettings = self.group()?;
        if listen.api_keys.iter().any(String::is_empty) {
            bail!("api_keys: an empty key would let anyone in");
        }
        Ok(ServerConfig {
            address: listen.address,
            keys: listen.api_keys.iter().map(|key| ApiKey::new(key)).collect(),
            cors_origins: listen.cors_origins,
            limits: Limits {
                max_body_bytes: limits.max_body_bytes,
                max_prompt_tokens: limits.max_prompt_tokens,
                max_tokens: limits.max_tokens,
                max_time: Duration::from_secs(limits.max_time_s),
                max_answers: limits.max_answers,
                max_running: limits.max_running,
                max_waiting: limits.max_waiting,
                max_contexts: limits.max_contexts,
                max_connections: limits.max_connections,
                client_timeout: Duration::from_secs(limits.client_timeout_s),
                drain_timeout: Duration::from_secs(limits.drain_timeout_s),
            },
        })
    }

    /// The collector that was named.
    #[cfg(feature = "otel")]
    pub(crate) fn otlp_endpoint(&self) -> anyhow::Result<Option<String>> {
        Ok(self.group::<TelemetrySettings>()?.otlp_endpoint)
    }

    /// What is in force, one setting a line, as a file would have it; keys are not shown.
    pub(crate) fn shown(&self) -> String {
        let line = |(name, value): (&String, &Value)| match (name.as_str(), value) {
            ("api_keys", Value::Array(keys)) => {
                format!("api_keys = [{}]\n", vec!["\"...\""; keys.len()].join(", "))
            }
            (_, Value::Null) => format!("# {name}: automatic\n"),
            (_, value) => format!("{name} = {value}\n"),
        };
        self.0.iter().map(line).collect()
    }

    fn group<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_path_to_error::deserialize(&Value::Object(self.0.clone())).context("a setting makes no sense")
    }
}

/// All settings, as they are unless someone says otherwise.
fn defaults() -> Map<String, Value> {
    let ServerConfig { address, limits, .. } = ServerConfig::default();
    let model = ModelSettings {
        model: DEFAULT_MODEL.to_owned(),
        device: "auto".to_owned(),
        context_len: None,
        cache_tokens: None,
    };
    let listen = ListenSettings { address, api_keys: Vec::new(), cors_origins: Vec::new() };
    let limits = LimitSettings {
        max_body_bytes: limits.max_body_bytes,
        max_prompt_tokens: limits.max_prompt_tokens,
        max_tokens: limits.max_tokens,
        max_time_s: limits.max_time.as_secs(),
        max_answers: limits.max_answers,
        max_running: limits.max_running,
        max_waiting: limits.max_waiting,
        max_contexts: limits.max_contexts,
        max_connections: limits.max_connections,
        client_timeout_s: limits.client_timeout.as_secs(),
        drain_timeout_s: limits.drain_timeout.as_secs(),
    };
    let groups = [
        serde_json::to_value(model),
        serde_json::to_value(listen),
        serde_json::to_value(limits),
        #[cfg(feature = "otel")]
        serde_json::to_value(TelemetrySettings { otlp_endpoint: None }),
    ];
    let mut all = Map::new();
    for group in groups {
        if let Ok(Value::Object(group)) = group {
            all.extend(group);
        }
    }
    all
}

fn command(defaults: &Map<String, Value>) -> Command {
    let config = Arg::new("config").long("config").value_name("FILE").help("A TOML file of settings");
    let flags = defaults.iter().map(|(name, default)| {
        let help = match default {
            Value::Null => "automatic unless given".to_owned(),
            Value::Array(_) => "a list, with commas".to_owned(),
            default => format!("{default} unless given"),
        };
        // clap wants names that live as long as the program.
        Arg::new(&*name.clone().leak())
            .long(&*name.replace('_', "-").leak())
            .value_name("VALUE")
            .help(help)
            .action(ArgAction::Set)
    });
    Command::new("llama-server")
        .about("Serve a model over OpenAI's API")
        .after_help("Each setting is a flag, a variable (LLAMA_SERVER_MAX_TOKENS) or a line of the file (max_tokens = 512): flags go first, then variables, then the file.")
        .arg(config)
        .args(flags)
}

/// A value as text, of the kind that the default has.
fn parse(text: &str, default: &Value) -> anyhow::Result<Value> {
    Ok(match default {
        Value::String(_) => text.into(),
        Value::Array(_) => text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect(),
        // What is absent by default may be a number or a text; reading the settings tells.
        Value::Null => text.parse::<u64>().map_or_else(|_| text.into(), Value::from),
        _ => text.parse::<u64>()?.into(),
    })
}

/// A variable of the environment.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(flags: &[&str], variables: &[(&str, &str)], file: &str) -> anyhow::Result<Settings> {
        let mut on_disk = tempfile::NamedTempFile::new()?;
        on_disk.write_all(file.as_bytes())?;
        let mut all = vec!["llama-server".into(), "--config".into(), on_disk.path().into()];
        all.extend(flags.iter().map(OsString::from));
        Settings::read(all, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn flags_go_before_variables_before_the_file_before_defaults() {
        let file = "max_tokens = 1\nmax_running = 1\nmax_waiting = 1\n";
        let variables = [("LLAMA_SERVER_MAX_TOKENS", "2"), ("LLAMA_SERVER_MAX_RUNNING", "2")];
        let limits = read(&["--max-tokens", "3"], &variables, file).unwrap().config().unwrap().limits;
        assert_eq!((limits.max_tokens, limits.max_running, limits.max_waiting), (3, 2, 1));
        assert_eq!(limits.max_answers, Limits::default().max_answers);
        let nothing = read(&[], &[], "").unwrap();
        assert_eq!(nothing.config().unwrap().limits, Limits::default());
        assert_eq!(nothing.model().unwrap().0, PathBuf::from(DEFAULT_MODEL));
    }

    #[test]
    fn keys_are_lists_and_are_not_shown() {
        let settings = read(&["--api-keys", "secret1, secret2"], &[], "").unwrap();
        assert_eq!(settings.config().unwrap().keys, [ApiKey::new("secret1"), ApiKey::new("secret2")]);
        let shown = settings.shown();
        assert!(shown.contains("api_keys = [\"...\", \"...\"]\n") && !shown.contains("secret"), "{shown}");
        assert!(shown.contains("address = \"127.0.0.1:8080\"\n"), "{shown}");
    }

    #[cfg(feature = "otel")]
    #[test]
    fn a_collector_may_be_named() {
        let variables = [("LLAMA_SERVER_OTLP_ENDPOINT", "http://collector:4318")];
        let settings = read(&[], &variables, "").unwrap();
        assert_eq!(settings.otlp_endpoint().unwrap().as_deref(), Some("http://collector:4318"));
        assert!(settings.shown().contains("otlp_endpoint = \"http://collector:4318\"\n"));
        assert_eq!(read(&[], &[], "").unwrap().otlp_endpoint().unwrap(), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (flags, file, expected) in [
            (&["--max-tokens", "many"][..], "", "max_tokens"),
            (&["--address", "here"], "", "address"),
            (&["--context-len", "long"], "", "context_len"),
            (&[], "max_tokens = -1", "max_tokens"),
            (&[], "max_token = 1", "`max_token`"),
            (&[], "api_keys = [\"\"]", "empty key"),
        ] {
            let error = format!("{:#}", read(flags, &[], file).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}
