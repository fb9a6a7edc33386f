//! Places where the data cannot be: each is named, by the command and by `resto doctor`, and left as it is.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::process::Finished;
use crate::product::Product;

fn refused(finished: &Finished, words: &[&str]) {
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    for word in words {
        assert!(finished.stderr.contains(word), "{word}: {finished:?}");
    }
}

#[test]
fn a_data_folder_that_cannot_be_one_is_named() {
    let product = Product::at("http://127.0.0.1:9");
    fs::write(product.path("data"), "a file").unwrap();
    refused(
        &product.run(&["connections"], ""),
        &["data cannot be a folder", "Move that file", "name another"],
    );
    assert!(!product.path("root.key").exists());
    let doctor = product.run(&["doctor"], "");
    assert!(
        doctor.stdout.contains("data cannot be a folder: a file is in its place"),
        "{doctor:?}"
    );
    fs::remove_file(product.path("data")).unwrap();
    product.must(&["connections"], "");
}

#[test]
fn a_folder_in_the_place_of_the_database_is_named_and_left_alone() {
    let product = Product::at("http://127.0.0.1:9");
    product.must(&["connections"], "");
    let place = product.path("data/resto.db");
    fs::remove_file(&place).unwrap();
    fs::create_dir(&place).unwrap();
    fs::set_permissions(&place, Permissions::from_mode(0o750)).unwrap();
    let words = "data/resto.db cannot be the database: it is no file. Move it";
    refused(&product.run(&["connections"], ""), &[words]);
    let doctor = product.run(&["doctor"], "");
    assert!(doctor.stdout.contains(words), "{doctor:?}");
    assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o750);
}
