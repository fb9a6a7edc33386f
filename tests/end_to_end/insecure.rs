//! Insecure configurations: none starts, each is told with its own reason, and `resto doctor` tells the same.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::Command;

use crate::process::{Finished, run};
use crate::product::{Product, binary};

/// One insecure configuration.
struct Case {
    /// What is added to the configuration file.
    config: &'static str,
    /// What is done to an installation that was right.
    harm: fn(&Product),
    /// What is changed in the environment.
    environment: fn(&Product, &mut Command),
    /// What the refusal says.
    words: &'static str,
}

fn configured(config: &'static str, words: &'static str) -> Case {
    Case { config, harm: |_| (), environment: |_, _| (), words }
}

fn harmed(harm: fn(&Product), words: &'static str) -> Case {
    Case { config: "", harm, environment: |_, _| (), words }
}

fn in_environment(environment: fn(&Product, &mut Command), words: &'static str) -> Case {
    Case { config: "", harm: |_| (), environment, words }
}

fn mode(product: &Product, file: &str, mode: u32) {
    fs::set_permissions(product.path(file), Permissions::from_mode(mode)).unwrap();
}

fn key(product: &Product, text: &str) {
    fs::write(product.path("root.key"), text).unwrap();
}

/// Base64 of 32 times a byte that is no letter.
fn zeros() -> String {
    format!("{}=\n", "A".repeat(43))
}

fn of_the_configuration() -> Vec<Case> {
    vec![
        configured("listen = 1\n", "unknown field `listen`"),
        configured("cipher = \"none\"\n", "unknown variant `none`"),
        configured("bind = \"0.0.0.0:0\"\n", "bind: 0.0.0.0:0 is reached from other machines"),
        configured("allowed_hosts = [\"*\"]\n", "allowed_hosts: `*` lets in whatever name"),
        configured(
            "allowed_hosts = [\"*.example.com\"]\n",
            "allowed_hosts: `*.example.com` lets in",
        ),
        configured(
            "allowed_hosts = [\"https://a.example\"]\n",
            "allowed_hosts: `https://a.example` is no host name",
        ),
        configured("allowed_hosts = [\"\"]\n", "allowed_hosts: `` is no host name"),
        configured(
            "allowed_origins = [\"*\"]\n",
            "allowed_origins: `*` lets the pages of strangers in",
        ),
        configured(
            "allowed_origins = [\"null\"]\n",
            "allowed_origins: `null` lets the pages of strangers in",
        ),
        configured(
            "allowed_origins = [\"http://a.example\"]\n",
            "allowed_origins: `http://a.example` is not HTTPS",
        ),
        configured(
            "allowed_origins = [\"https://a.example/page\"]\n",
            "is more or less than an origin",
        ),
        configured(
            "allowed_origins = [\"https://me:hunter2@a.example\"]\n",
            "`a.example` is more or less than an origin",
        ),
        configured(
            "allowed_origins = [\"https://b.example\", \"https://a.example/\"]\n",
            "allowed_origins: `https://a.example/` is more or less than an origin",
        ),
        configured(
            "allowed_origins = [\"a.example\"]\n",
            "allowed_origins: `a.example` is no origin",
        ),
        configured(
            "[integrations.gitlab]\n",
            "names the integration `gitlab`, which does not exist",
        ),
        configured(
            "[integrations.github]\nbase_url = \"http://a.example\"\n",
            "integrations.github.base_url: The address `http://a.example` must begin with https",
        ),
        configured(
            "[integrations.github]\ntoken_url = \"http://a.example\"\n",
            "integrations.github.token_url: The address `http://a.example` must begin with https",
        ),
        configured(
            "[integrations.github]\nauthorize_url = \"http://a.example\"\n",
            "integrations.github.authorize_url: The address `http://a.example` must begin with",
        ),
        configured(
            "[integrations.github]\nrevoke_url = \"somewhere\"\n",
            "integrations.github.revoke_url: The address `somewhere` cannot be read",
        ),
        configured(
            "[integrations.github]\nbase_url = \"https://me:hunter2@a.example\"\n",
            "must not hold a user name or a password",
        ),
        configured("[keys]\ncurrent = { shell = \"id\" }\n", "unknown variant `shell`"),
        configured("[keys]\ncurrent = { env = \"ROOT\" }\n", "The current root key is named twice"),
        configured(
            "[keys]\naccept = [{ command = [\"/nowhere/kms\"] }]\n",
            "The command /nowhere/kms, which should print the root key, does not start",
        ),
        configured("[keys]\naccept = [{ env = \"NO_SUCH_KEY\" }]\n", "NO_SUCH_KEY is not set"),
        configured(
            "database = \"mysql://a.example/resto\"\n",
            "must begin with sqlite:// or postgres://",
        ),
        configured(
            "database = \"postgres://me:hunter2@a.example/resto\"\n",
            "does not insist on TLS, and a.example is another machine",
        ),
        configured(
            "database = \"postgres://me:hunter2@192.0.2.1/resto?sslmode=disable\"\n",
            "does not insist on TLS, and 192.0.2.1 is another machine",
        ),
    ]
}

fn of_files() -> Vec<Case> {
    vec![
        harmed(
            |product| mode(product, "config.toml", 0o666),
            "config.toml can be written by other users (mode 666)",
        ),
        harmed(
            |product| mode(product, "data", 0o755),
            "data can be entered by other users (mode 755)",
        ),
        harmed(
            |product| mode(product, "data", 0o1777),
            "data can be entered by other users (mode 1777)",
        ),
        harmed(|product| mode(product, "root.key", 0o644), "root.key can be used by others"),
        harmed(|product| mode(product, "root.key", 0o660), "root.key can be used by others"),
        harmed(|product| key(product, "c2hvcnQ="), "root.key does not hold a key of 32 bytes"),
        harmed(|product| key(product, ""), "root.key does not hold a key of 32 bytes"),
        harmed(|product| key(product, "a password"), "root.key is not one line of base64"),
        harmed(|product| key(product, &zeros()), "root.key is all zeros, which is a placeholder"),
        harmed(
            |product| key(product, &zeros().replace('A', "Q").replace("Q=", "E=")),
            "this database was sealed with another one",
        ),
        harmed(|product| fs::remove_file(product.path("root.key")).unwrap(), "root.key is missing"),
        harmed(
            |product| {
                fs::rename(product.path("root.key"), product.path("own.key")).unwrap();
                symlink(product.path("own.key"), product.path("root.key")).unwrap();
            },
            "root.key is a symbolic link",
        ),
        in_environment(
            |product, command| {
                let inside = product.path("data/root.key");
                fs::copy(product.path("root.key"), &inside).unwrap();
                command.env("RESTO_KEY_FILE", inside);
            },
            "is inside the data folder",
        ),
        Case {
            config: "[keys]\ncurrent = { env = \"ROOT\" }\n",
            harm: |_| (),
            environment: |_, command| {
                command.env_remove("RESTO_KEY_FILE").env("ROOT", "");
            },
            words: "The environment variable ROOT does not hold a key of 32 bytes",
        },
    ]
}

/// Another user's files, which only root can make.
fn of_other_users() -> Vec<Case> {
    const NOBODY: Option<u32> = Some(65534);
    vec![
        harmed(
            |product| chown(product.path("root.key"), NOBODY, None).unwrap(),
            "root.key belongs to another user",
        ),
        harmed(
            |product| chown(product.path("config.toml"), NOBODY, None).unwrap(),
            "config.toml belongs to another user",
        ),
    ]
}

#[test]
fn g2_an_insecure_configuration_does_not_start_and_doctor_tells_why() {
    let mut cases = of_the_configuration();
    cases.extend(of_files());
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        cases.extend(of_other_users());
    }
    assert!(cases.len() >= 15);
    for Case { config, harm, environment, words } in cases {
        let product = Product::at("http://127.0.0.1:9");
        product.must(&["connections"], "");
        let told = product.must(&["doctor"], "");
        assert!(!told.stdout.contains("wrong"), "{told:?}");
        if !config.is_empty() {
            product.configure(config);
        }
        harm(&product);
        let run = |arguments: &[&str]| -> Finished {
            // Whatever starts would go on for ever.
            let mut command = Command::new("timeout");
            command.env_clear().envs(product.environment());
            command.arg("60").arg(binary()).args(arguments);
            environment(&product, &mut command);
            run(&mut command, "")
        };
        let started = run(&["serve"]);
        assert_eq!(started.status.code(), Some(1), "{config}{words}: {started:?}");
        assert_eq!(started.stdout, "", "{started:?}");
        assert!(started.stderr.contains(words), "{words}: {started:?}");
        let doctor = run(&["doctor"]);
        assert_eq!(doctor.status.code(), Some(1), "{config}{words}: {doctor:?}");
        assert!(doctor.stdout.contains(words), "{words}: {doctor:?}");
        for told in [&started, &doctor] {
            assert!(!format!("{told:?}").contains("hunter2"), "{told:?}");
        }
    }
}
