//! A certification authority of a test's own, and a certificate for `localhost`.
//!
//! Owns the files. The server programs run as somebody else, to whom the key is given.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{postgres, process};

/// Files in PEM, in a folder that goes with the test process.
pub(crate) struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// A new authority and what it has signed. The name in the certificate is `localhost`: not the
    /// address 127.0.0.1.
    pub(crate) fn create() -> Self {
        Self::signed_for("2")
    }

    /// The same, and the certificate of the server has expired. The authority's has not.
    pub(crate) fn expired() -> Self {
        Self::signed_for("-1")
    }

    fn signed_for(days: &str) -> Self {
        let folder = process::folder("tls");
        let extensions = "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n";
        fs::write(folder.join("extensions"), extensions).expect("the work folder takes files");
        let key = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ];
        let run = |arguments: &[&str]| openssl(&folder, arguments);
        let authority = ["-x509", "-days", "2", "-subj", "/CN=authority"];
        let files = ["-keyout", "ca.key", "-out", "ca.pem"];
        run(&[&["req"], &authority[..], &key, &files].concat());
        let files = ["-keyout", "server.key", "-out", "server.csr"];
        run(&[&["req", "-subj", "/CN=localhost"], &key[..], &files].concat());
        run(&[
            "x509",
            "-req",
            "-days",
            days,
            "-in",
            "server.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-extfile",
            "extensions",
            "-out",
            "server.pem",
        ]);
        let all: String = ["server.key", "server.pem", "ca.pem"]
            .iter()
            .map(|name| fs::read_to_string(folder.join(name)).expect("openssl wrote it"))
            .collect();
        fs::write(folder.join("all.pem"), all).expect("the work folder takes files");
        let private = folder.join("server.key");
        fs::set_permissions(&private, Permissions::from_mode(0o600)).expect("the file is ours");
        if let Some(user) = postgres::unprivileged() {
            chown(&private, Some(user.uid), Some(user.gid)).expect("root may give a file away");
        }
        Self { folder }
    }

    /// The path of the key, encrypted with a passphrase.
    pub(crate) fn encrypted_key(&self, passphrase: &str) -> String {
        let phrase = format!("pass:{passphrase}");
        let arguments = ["pkcs8", "-topk8", "-in", "server.key", "-passout", &phrase];
        let files = ["-out", "encrypted.key"];
        openssl(&self.folder, &[&arguments[..], &files].concat());
        self.path("encrypted.key")
    }

    /// The path of one of the files: `ca.pem`, `server.pem`, `server.key`, or `all.pem` with all
    /// three.
    pub(crate) fn path(&self, name: &str) -> String {
        let path = self.folder.join(name);
        path.to_str().expect("our paths are ASCII").to_owned()
    }
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("openssl is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {errors}");
}
