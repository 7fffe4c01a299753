//! Documents that users apply: the shipped examples with their placeholders filled in.

use std::fs;

use anyhow::{Context, Result, bail};
use serde_yaml::Value;

use crate::host;

/// A policy or a plain desired state.
#[derive(Clone, Debug)]
pub struct Document {
    text: String,
}

impl Document {
    /// The example `policy-examples/<name>.yaml` with its placeholders filled in, each given with its
    /// angle brackets.
    ///
    /// # Errors
    /// There is no such example, or a placeholder is left.
    pub fn example(name: &str, placeholders: &[(&str, &str)]) -> Result<Self> {
        let path = host::workspace_dir().join(format!("policy-examples/{name}.yaml"));
        let mut text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        for (placeholder, value) in placeholders {
            text = text.replace(placeholder, value);
        }
        if let Some(line) = text.lines().find(|line| line.contains('<') && line.contains('>')) {
            bail!(
                "{} has a placeholder that nothing was given for: {}",
                path.display(),
                line.trim()
            );
        }
        Ok(Self { text })
    }

    /// A document written in a test.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
        }
    }

    /// The document as a user would write it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The plain desired state, which is all that upstream's nmstatectl takes.
    ///
    /// # Errors
    /// The document is no YAML, or a policy without a desired state.
    pub fn desired_state(&self) -> Result<String> {
        let document: Value = serde_yaml::from_str(&self.text).context("parsing a document")?;
        if document.get("apiVersion").is_none() {
            return Ok(self.text.clone());
        }
        let state = document.get("spec").and_then(|spec| spec.get("desiredState"));
        Ok(serde_yaml::to_string(
            state.context("a policy has no spec.desiredState")?,
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::Document;

    #[test]
    fn a_policy_is_reduced_to_its_desired_state() {
        let placeholders = [
            ("<name>", "a"),
            ("<node_name>", "b"),
            ("<tunnel_name>", "hosta_conn"),
        ];
        let document = Document::example("remove", &placeholders).unwrap();
        let state = document.desired_state().unwrap();
        assert_eq!(
            state,
            "interfaces:\n- name: hosta_conn\n  type: ipsec\n  state: absent\n"
        );
    }

    #[test]
    fn a_plain_state_stays_as_it_is() {
        let document = Document::example("psk", &[]).unwrap();
        assert_eq!(document.desired_state().unwrap(), document.text());
    }

    #[test]
    fn a_forgotten_placeholder_is_named() {
        let error = Document::example("remove", &[("<name>", "a")]).unwrap_err();
        assert!(error.to_string().contains("<node_name>"), "{error}");
    }
}
