//! The tools that this adapter publishes, all rules checked.

#[test]
fn publishes_these_tools() {
    insta::assert_json_snapshot!(resto_testing::checked_tools(&resto_analytics::adapter()));
}
