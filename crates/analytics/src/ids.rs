//! Ids: the last part of Google's resource names, such as the 123 of `properties/123`.

use resto_core::{Code, Error, PathArg, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An id of something at Google Analytics, a number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String")]
#[schemars(with = "String")]
pub struct Id(String);

/// From an id, or from a resource name that ends in one.
impl From<String> for Id {
    fn from(name: String) -> Self {
        match name.rsplit_once('/') {
            Some((_, id)) => Self(id.to_owned()),
            None => Self(name),
        }
    }
}

impl Id {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl PathArg for Id {
    fn append(&self, path: &mut String) -> Result<()> {
        let Self(id) = self;
        if id.is_empty() || id.len() > 20 || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            let hint = if id.starts_with("G-") || id.starts_with("UA-") {
                "is a tag's id; of the property, `list_properties` tells the number"
            } else {
                "is no id: ids are numbers, from the tools that list things"
            };
            return Err(Error::new(
                Code::InvalidInput,
                format!("invalid input: `{id}` {hint}. Nothing was sent."),
            ));
        }
        path.push_str(id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_end_of_a_resource_name() {
        for name in ["456", "properties/1/dataStreams/456"] {
            let mut path = String::new();
            Id::from(name.to_owned()).append(&mut path).unwrap();
            assert_eq!(path, "456");
        }
    }

    #[test]
    fn refuses_what_is_no_number() {
        for (name, why) in [
            ("G-1A2BCD345E", "`list_properties`"),
            ("properties/", "is no id"),
            ("1:delete", "is no id"),
            ("../1?", "is no id"),
        ] {
            let error = Id::from(name.to_owned()).append(&mut String::new()).unwrap_err();
            assert!(error.message().contains(why), "{error}");
        }
    }
}
