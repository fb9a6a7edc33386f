//! A new migration file is a reason to build again, which the compiler cannot know.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
