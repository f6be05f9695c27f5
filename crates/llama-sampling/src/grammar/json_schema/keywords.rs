//! What a keyword of a schema means to us.

use serde_json::Value;

/// Which specification a schema is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Draft {
    Draft7,
    Draft2020,
}

impl Draft {
    /// The one that `$schema` names.
    pub(super) fn of(schema: &Value) -> Option<Self> {
        let Some(name) = schema.get("$schema") else {
            return Some(Self::Draft2020);
        };
        match name.as_str()?.trim_end_matches('#') {
            "https://json-schema.org/draft/2020-12/schema" => Some(Self::Draft2020),
            "http://json-schema.org/draft-07/schema" | "https://json-schema.org/draft-07/schema" => {
                Some(Self::Draft7)
            }
            _ => None,
        }
    }
}

/// What is to be done with a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    /// A plain assertion that the engine honours as it is.
    Assertion,
    /// A whole number, which may be written with a fraction of zero.
    Count,
    /// One schema.
    Schema,
    /// A list of schemas.
    Schemas,
    /// Schemas by name.
    SchemasByName,
    /// Schemas for reference alone.
    Definitions,
    /// Constrains nothing.
    Annotation,
    /// Means nothing in this draft, or nothing to a grammar: left out.
    Ignored,
    Pattern,
    PatternProperties,
    Format,
    Items,
    Reference,
    Id,
    /// Known, and not honoured.
    Unsupported,
    /// In neither draft.
    Unknown,
}

impl Keyword {
    pub(super) fn of(name: &str, draft: Draft) -> Self {
        match name {
            "type" | "enum" | "const" | "required" | "multipleOf" | "minimum" | "maximum"
            | "exclusiveMinimum" | "exclusiveMaximum" => Self::Assertion,
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
                Self::Count
            }
            "additionalProperties" => Self::Schema,
            "allOf" | "anyOf" | "oneOf" => Self::Schemas,
            "properties" => Self::SchemasByName,
            "$defs" | "definitions" => Self::Definitions,
            "pattern" => Self::Pattern,
            "patternProperties" => Self::PatternProperties,
            "format" => Self::Format,
            "items" => Self::Items,
            "$ref" => Self::Reference,
            "$id" => Self::Id,
            "$schema" | "$comment" | "title" | "description" | "default" | "examples" | "readOnly"
            | "writeOnly" => Self::Annotation,
            "deprecated" | "$anchor" | "$dynamicAnchor" | "$vocabulary" | "contentSchema" => Self::Ignored,
            name if name.starts_with("x-") => Self::Ignored,
            name => Self::of_draft(name, draft),
        }
    }

    /// Keywords that only one of the drafts has, or none that we honour.
    fn of_draft(name: &str, draft: Draft) -> Self {
        let in_2020 = |keyword| if draft == Draft::Draft2020 { keyword } else { Self::Ignored };
        let in_7 = |keyword| if draft == Draft::Draft7 { keyword } else { Self::Ignored };
        match name {
            "prefixItems" => in_2020(Self::Schemas),
            "additionalItems" => in_7(Self::Schema),
            "contentEncoding" | "contentMediaType" => in_7(Self::Unsupported),
            "dependentRequired"
            | "dependentSchemas"
            | "unevaluatedItems"
            | "unevaluatedProperties"
            | "minContains"
            | "maxContains"
            | "$dynamicRef" => in_2020(Self::Unsupported),
            "not" | "if" | "then" | "else" | "contains" | "propertyNames" | "uniqueItems"
            | "dependencies" | "$recursiveRef" | "$recursiveAnchor" => Self::Unsupported,
            _ => Self::Unknown,
        }
    }
}
