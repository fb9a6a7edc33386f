//! Insecure configurations: none starts, each is told with its own reason, and `resto doctor` tells the same.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::Command;

use crate::process::{Finished, is_root, run};
use crate::product::{Product, binary};

/// One insecure configuration.
struct Case {
    /// Whether only root can make it.
    root: bool,
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
    Case { root: false, config, harm: |_| (), environment: |_, _| (), words }
}

fn harmed(harm: fn(&Product), words: &'static str) -> Case {
    Case { harm, ..configured("", words) }
}

fn in_environment(environment: fn(&Product, &mut Command), words: &'static str) -> Case {
    Case { environment, ..configured("", words) }
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

fn as_root(harm: fn(&Product), words: &'static str) -> Case {
    Case { root: true, ..harmed(harm, words) }
}

const NOBODY: Option<u32> = Some(65534);

macro_rules! refused {
    ($($name:ident: $case:expr;)*) => {$(
        #[test]
        fn $name() {
            is_refused(&$case);
        }
    )*};
}

refused! {
    g2_an_unknown_setting_is_refused: configured("listen = 1\n", "unknown field `listen`");
    g2_no_cipher_is_refused: configured("cipher = \"none\"\n", "unknown variant `none`");
    g2_other_machines_without_a_name_is_refused: configured("bind = \"0.0.0.0:0\"\n", "bind: 0.0.0.0:0 is reached from other machines");
    g2_any_name_is_refused: configured("allowed_hosts = [\"*\"]\n", "allowed_hosts: `*` lets in whatever name");
    g2_any_name_of_a_domain_is_refused: configured(
        "allowed_hosts = [\"*.example.com\"]\n",
        "allowed_hosts: `*.example.com` lets in",
    );
    g2_an_address_as_a_name_is_refused: configured(
        "allowed_hosts = [\"https://a.example\"]\n",
        "allowed_hosts: `https://a.example` is no host name",
    );
    g2_an_empty_name_is_refused: configured("allowed_hosts = [\"\"]\n", "allowed_hosts: `` is no host name");
    g2_the_pages_of_everybody_are_refused: configured(
        "allowed_origins = [\"*\"]\n",
        "allowed_origins: `*` lets the pages of strangers in",
    );
    g2_the_pages_of_nobody_known_are_refused: configured(
        "allowed_origins = [\"null\"]\n",
        "allowed_origins: `null` lets the pages of strangers in",
    );
    g2_an_origin_without_https_is_refused: configured(
        "allowed_origins = [\"http://a.example\"]\n",
        "allowed_origins: `http://a.example` is not HTTPS",
    );
    g2_an_origin_with_a_path_is_refused: configured(
        "allowed_origins = [\"https://a.example/page\"]\n",
        "is more or less than an origin",
    );
    g2_an_origin_with_a_password_is_refused: configured(
        "allowed_origins = [\"https://me:hunter2@a.example\"]\n",
        "`a.example` is more or less than an origin",
    );
    g2_an_origin_with_a_slash_is_refused: configured(
        "allowed_origins = [\"https://b.example\", \"https://a.example/\"]\n",
        "allowed_origins: `https://a.example/` is more or less than an origin",
    );
    g2_an_origin_without_a_scheme_is_refused: configured(
        "allowed_origins = [\"a.example\"]\n",
        "allowed_origins: `a.example` is no origin",
    );
    g2_an_unknown_integration_is_refused: configured(
        "[integrations.gitlab]\n",
        "names the integration `gitlab`, which does not exist",
    );
    g2_a_provider_without_https_is_refused: configured(
        "[integrations.github]\nbase_url = \"http://a.example\"\n",
        "integrations.github.base_url: The address `http://a.example` must begin with https",
    );
    g2_a_token_address_without_https_is_refused: configured(
        "[integrations.github]\ntoken_url = \"http://a.example\"\n",
        "integrations.github.token_url: The address `http://a.example` must begin with https",
    );
    g2_a_consent_address_without_https_is_refused: configured(
        "[integrations.github]\nauthorize_url = \"http://a.example\"\n",
        "integrations.github.authorize_url: The address `http://a.example` must begin with",
    );
    g2_a_revocation_address_that_is_none_is_refused: configured(
        "[integrations.github]\nrevoke_url = \"somewhere\"\n",
        "integrations.github.revoke_url: The address `somewhere` cannot be read",
    );
    g2_a_provider_with_a_password_is_refused: configured(
        "[integrations.github]\nbase_url = \"https://me:hunter2@a.example\"\n",
        "must not hold a user name or a password",
    );
    g2_a_cap_on_one_action_in_no_currency_is_refused: configured("[spend.per_action]\ndefault = 1\nEuro = 5\n", "[spend.per_action] of the configuration names the currency `Euro`");
    g2_a_cap_in_no_currency_is_refused: configured("[spend.per_day]\neur = 5\n", "[spend.per_day] of the configuration names the currency `eur`");
    g2_a_key_from_a_shell_is_refused: configured("[keys]\ncurrent = { shell = \"id\" }\n", "unknown variant `shell`");
    g2_two_current_keys_are_refused: configured("[keys]\ncurrent = { env = \"ROOT\" }\n", "The current root key is named twice");
    g2_a_key_command_that_does_not_start_is_refused: configured(
        "[keys]\naccept = [{ command = [\"/nowhere/kms\"] }]\n",
        "The command /nowhere/kms, which should print the root key, does not start",
    );
    g2_an_accepted_key_that_is_not_given_is_refused: configured("[keys]\naccept = [{ env = \"NO_SUCH_KEY\" }]\n", "NO_SUCH_KEY is not set");
    g2_an_unknown_database_is_refused: configured(
        "database = \"mysql://a.example/resto\"\n",
        "must begin with sqlite:// or postgres://",
    );
    g2_a_database_far_away_without_tls_is_refused: configured(
        "database = \"postgres://me:hunter2@a.example/resto\"\n",
        "does not insist on TLS, and a.example is another machine",
    );
    g2_a_database_far_away_that_refuses_tls_is_refused: configured(
        "database = \"postgres://me:hunter2@192.0.2.1/resto?sslmode=disable\"\n",
        "does not insist on TLS, and 192.0.2.1 is another machine",
    );
    g2_a_configuration_that_others_can_write_is_refused: harmed(
        |product| mode(product, "config.toml", 0o666),
        "config.toml can be written by other users (mode 666)",
    );
    g2_a_data_folder_that_others_can_read_is_refused: harmed(
        |product| mode(product, "data", 0o755),
        "data can be entered by other users (mode 755)",
    );
    g2_a_data_folder_that_others_can_write_is_refused: harmed(
        |product| mode(product, "data", 0o1777),
        "data can be entered by other users (mode 1777)",
    );
    g2_a_key_file_that_others_can_read_is_refused: harmed(|product| mode(product, "root.key", 0o644), "root.key can be used by others");
    g2_a_key_file_that_a_group_can_write_is_refused: harmed(|product| mode(product, "root.key", 0o660), "root.key can be used by others");
    g2_a_short_key_is_refused: harmed(|product| key(product, "c2hvcnQ="), "root.key does not hold a key of 32 bytes");
    g2_an_empty_key_file_is_refused: harmed(|product| key(product, ""), "root.key does not hold a key of 32 bytes");
    g2_a_password_as_a_key_is_refused: harmed(|product| key(product, "a password"), "root.key is not one line of base64");
    g2_a_key_of_zeros_is_refused: harmed(|product| key(product, &zeros()), "root.key is all zeros, which is a placeholder");
    g2_the_key_of_another_database_is_refused: harmed(
        |product| key(product, &zeros().replace('A', "Q").replace("Q=", "E=")),
        "this database was sealed with another one",
    );
    g2_a_missing_key_file_is_refused: harmed(|product| fs::remove_file(product.path("root.key")).unwrap(), "root.key is missing");
    g2_a_symbolic_link_as_a_key_file_is_refused: harmed(
        |product| {
            fs::rename(product.path("root.key"), product.path("own.key")).unwrap();
            symlink(product.path("own.key"), product.path("root.key")).unwrap();
        },
        "root.key is a symbolic link",
    );
    g2_a_key_file_in_the_data_folder_is_refused: in_environment(
        |product, command| {
            let inside = product.path("data/root.key");
            fs::copy(product.path("root.key"), &inside).unwrap();
            command.env("RESTO_KEY_FILE", inside);
        },
        "is inside the data folder",
    );
    g2_an_empty_key_in_the_environment_is_refused: Case {
    environment: |_, command| {
        command.env_remove("RESTO_KEY_FILE").env("ROOT", "");
    },
    ..configured(
        "[keys]\ncurrent = { env = \"ROOT\" }\n",
        "The environment variable ROOT does not hold a key of 32 bytes",
    )
    };
    g2_a_key_file_of_another_user_is_refused: as_root(
        |product| chown(product.path("root.key"), NOBODY, None).unwrap(),
        "root.key belongs to another user",
    );
    g2_a_configuration_of_another_user_is_refused: as_root(
        |product| chown(product.path("config.toml"), NOBODY, None).unwrap(),
        "config.toml belongs to another user",
    );
}

/// It does not start, and `resto doctor` tells the same reason; neither repeats a password.
fn is_refused(case: &Case) {
    if case.root && !is_root() {
        return;
    }
    let product = Product::at("http://127.0.0.1:9");
    product.must(&["connections"], "");
    let told = product.must(&["doctor"], "");
    assert!(!told.stdout.contains("wrong"), "{told:?}");
    if !case.config.is_empty() {
        product.configure(case.config);
    }
    (case.harm)(&product);
    let run = |arguments: &[&str]| -> Finished {
        // Whatever starts would go on for ever.
        let mut command = Command::new("timeout");
        command.env_clear().envs(product.environment());
        command.arg("60").arg(binary()).args(arguments);
        (case.environment)(&product, &mut command);
        run(&mut command, "")
    };
    let started = run(&["serve"]);
    assert_eq!(started.status.code(), Some(1), "{started:?}");
    assert_eq!(started.stdout, "", "{started:?}");
    assert!(started.stderr.contains(case.words), "{started:?}");
    let doctor = run(&["doctor"]);
    assert_eq!(doctor.status.code(), Some(1), "{doctor:?}");
    assert!(doctor.stdout.contains(case.words), "{doctor:?}");
    for told in [&started, &doctor] {
        assert!(!format!("{told:?}").contains("hunter2"), "{told:?}");
    }
}
