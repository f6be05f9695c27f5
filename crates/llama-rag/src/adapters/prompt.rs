//! How what a pipeline says to a model becomes a prompt.

use llama_engine::Prompt;

/// How what a pipeline says to a model becomes a prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PromptForm {
    /// A conversation, by the model's chat template.
    #[default]
    Chat,
    /// Text to continue: the turns, one after another, an empty line in between. For models without a chat template.
    Text,
}

impl PromptForm {
    /// The prompt for one text of the user's.
    #[cfg(feature = "graphrag")]
    pub(crate) fn of_text(self, text: &str) -> Prompt {
        match self {
            Self::Chat => Prompt::from([llama_engine::Message::user(text)]),
            Self::Text => Prompt::from(text),
        }
    }

    /// The prompt for a conversation; `None` where tools would be lost.
    #[cfg(feature = "rig")]
    pub(crate) fn of_conversation(self, conversation: llama_engine::Conversation) -> Option<Prompt> {
        match self {
            Self::Chat => Some(conversation.into()),
            Self::Text if !conversation.tools.is_empty() => None,
            Self::Text => {
                let turns: Vec<String> =
                    conversation.messages.into_iter().map(|message| message.content).collect();
                Some(turns.join("\n\n").into())
            }
        }
    }
}
