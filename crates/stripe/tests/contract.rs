//! The tools that this adapter publishes, all rules checked.

use std::path::Path;

use resto_testing::untested_actions;

#[test]
fn publishes_these_tools() {
    insta::assert_json_snapshot!(resto_testing::checked_tools(&resto_stripe::adapter()));
}

#[test]
fn tests_run_each_of_them() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    assert_eq!(untested_actions(&resto_stripe::adapter(), &sources), [""; 0]);
}
