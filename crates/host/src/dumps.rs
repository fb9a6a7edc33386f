//! No dump of this process: what crashes must not leave credentials on the disk, and no other program
//! of the same user may look into its memory.

use resto_core::{Code, Error, Result};
use rustix::process::{Resource, Rlimit, setrlimit};

/// Forbids dumps, also to the programs that this one starts. To be called before anything is opened.
///
/// # Errors
/// The operating system refuses.
pub(crate) fn forbid() -> Result<()> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let forbidden = setrlimit(Resource::Core, none);
    #[cfg(target_os = "linux")]
    let forbidden = forbidden.and_then(|()| {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable)
    });
    forbidden.map_err(|error| {
        Error::new(
            Code::Internal,
            format!("The operating system does not let this program forbid dumps of its memory: {error}. Nothing was opened."),
        )
    })
}

#[cfg(test)]
mod tests {
    use rustix::process::getrlimit;

    use super::*;

    #[test]
    fn b10_neither_a_core_file_nor_another_program_gets_the_memory() {
        forbid().unwrap();
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
        #[cfg(target_os = "linux")]
        {
            use rustix::process::{DumpableBehavior, dumpable_behavior};
            assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        }
    }
}
