//! Files that cannot be read.

use std::{fs, os::unix::fs::symlink, path::Path};

use super::{Source, read};

fn fault(path: &Path) -> String {
    let errors = read(&[Source::File(path.to_owned())]).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    let text = errors[0].to_string();
    text.strip_prefix(&format!("{}:", path.display()))
        .unwrap()
        .to_owned()
}

#[test]
fn what_is_no_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let good = "hostname: {running: a}\n";
    fs::write(path("good"), good).unwrap();
    symlink(path("good"), path("link")).unwrap();
    symlink(path("link"), path("chain")).unwrap();
    symlink(path("none"), path("dangling")).unwrap();
    fs::write(path("empty"), "").unwrap();
    fs::write(path("nothing"), "# nothing\n---\n...\n---\nnull\n").unwrap();
    fs::write(path("large"), " ".repeat(16 * 1024 * 1024 + 1)).unwrap();
    fs::write(path("latin"), b"a: b\nc\xe4: d\n").unwrap();
    fs::write(path("wide"), b"\xff\xfea\0:\0").unwrap();
    fs::write(path("nul"), b"a: b\0\nc: d\n").unwrap();
    let link = " is a symbolic link; name the file that it leads to";
    let empty = " holds no document; expected a policy or a desired state";
    for (name, expected) in [
        ("none", " cannot be read: No such file or directory (os error 2)"),
        ("", " is a directory; name the files in it"),
        ("link", link),
        ("chain", link),
        ("dangling", link),
        ("empty", empty),
        ("nothing", empty),
        ("large", " is larger than 16 MB; split it into several files"),
        ("latin", "2:2: is not UTF-8 text; save the file as UTF-8"),
        ("wide", "1:1: is not UTF-8 text; save the file as UTF-8"),
        ("nul", "1:5: holds the control character U+0000; remove it"),
    ] {
        assert_eq!(fault(&path(name)), expected, "{name}");
    }
    assert!(read(&[Source::File(path("good"))]).is_ok());
    assert_eq!(
        fault(Path::new("/dev/zero")),
        " is larger than 16 MB; split it into several files"
    );
    assert_eq!(fault(Path::new("/dev/null")), empty);
}

#[test]
fn faults_of_all_files_are_told() {
    let errors = read(&["a", "b"].map(|name| Source::from_argument(name.as_ref()))).unwrap_err();
    assert_eq!(
        errors.iter().map(|error| error.file.as_str()).collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!(Source::from_argument("-".as_ref()), Source::Stdin);
}
