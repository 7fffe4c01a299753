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
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::Document;
    use crate::host;

    fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(files(&path, extension));
            } else if path.extension().is_some_and(|end| end == extension) {
                found.push(path);
            }
        }
        found
    }

    /// A story that nobody tells is unused code, which is a fault of its own.
    #[test]
    fn every_example_is_applied_by_a_story() {
        let own = host::workspace_dir().join("tests/lab");
        let mut stories: String = files(&own.join("tests/lab"), "rs")
            .iter()
            .map(|path| fs::read_to_string(path).unwrap())
            .collect();
        stories.push_str(&fs::read_to_string(own.join("src/peer.rs")).unwrap());
        stories.retain(|character| !character.is_whitespace());
        let examples = files(&host::workspace_dir().join("policy-examples"), "yaml");
        assert!(!examples.is_empty());
        for example in examples {
            let name = example.file_stem().unwrap().to_str().unwrap();
            let applied = [
                format!("Document::example(\"{name}\""),
                format!("peer::policy(\"{name}\""),
            ];
            assert!(
                applied.iter().any(|call| stories.contains(call)),
                "no story applies {name}.yaml"
            );
        }
    }

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
