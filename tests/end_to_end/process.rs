//! Child processes that end with the test that started them, and what they said.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// The repository's top folder.
pub fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A tool that `tests/run` installs, by its path in `.tools/`.
pub fn tool(path: &str) -> PathBuf {
    let file = top().join(".tools").join(path);
    assert!(file.exists(), "{} is missing: run `tests/run tools`", file.display());
    file
}

/// What a process left behind.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Whether this is root, who alone sees another process's memory and calls, and makes files of other users. Otherwise that
/// is said aloud, and is a failure where CI runs.
pub fn is_root() -> bool {
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        assert!(std::env::var_os("CI").is_none(), "this test must run as root");
        // Not by a macro: the test runner would swallow it.
        std::io::stderr()
            .write_all(b"What only root can test was NOT tested: run the tests as root\n")
            .unwrap();
    }
    root
}

/// Runs `command` to its end, with `input` as its standard input.
pub fn run(command: &mut Command, input: &str) -> Finished {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A process that does not read its input ends the pipe early, which is its right.
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()).ok());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Finished {
        status: output.status,
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A process that runs beside the test.
pub struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Running {
    /// Starts `command` and reads both its outputs until a line in which `ready` finds what it looks for.
    pub fn start<T>(command: &mut Command, mut ready: impl FnMut(&str) -> Option<T>) -> (Self, T) {
        let (reader, writer) = std::io::pipe().unwrap();
        let child = command
            .stdin(Stdio::piped())
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        // The command keeps its ends of the pipe: without this, the pipe would not end with the child.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut lines = BufReader::new(reader);
        let mut head = String::new();
        let found = loop {
            let start = head.len();
            let read = lines.read_line(&mut head).unwrap();
            assert!(read > 0, "{command:?} ended before it was ready; it said:\n{head}");
            if let Some(found) = ready(head[start..].trim_end()) {
                break found;
            }
        };
        let said = Arc::new(Mutex::new(head));
        let rest = Arc::clone(&said);
        thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
                rest.lock().unwrap().push_str(&std::mem::take(&mut line));
            }
        });
        (Self { child, said }, found)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Asks it to end.
    pub fn signal(&self) {
        self.send("-TERM");
    }

    /// Does what Ctrl-C does.
    pub fn interrupt(&self) {
        self.send("-INT");
    }

    fn send(&self, signal: &str) {
        let id = self.child.id().to_string();
        let finished = run(Command::new("kill").args([signal, &id]), "");
        assert!(finished.status.success(), "{finished:?}");
    }

    /// Asks it to end, and waits until it has.
    pub fn terminate(&mut self) -> ExitStatus {
        if let Some(ended) = self.child.try_wait().unwrap() {
            return ended;
        }
        self.signal();
        self.child.wait().unwrap()
    }

    /// All that it has said until now, on both outputs.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A process that answers each line that it is given with a line.
pub struct Conversation {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
    problems: Arc<Mutex<String>>,
}

impl Conversation {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let problems = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&problems);
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut chunk) {
                heard.lock().unwrap().push_str(&String::from_utf8_lossy(&chunk[..read]));
            }
        });
        Self { child, answers, problems }
    }

    pub fn ask(&mut self, question: &str) -> String {
        let stdin = self.child.stdin.as_mut().unwrap();
        let asked = writeln!(stdin, "{question}").and_then(|()| stdin.flush());
        let answer = self.hear();
        assert!(asked.is_ok(), "nobody read {question}");
        answer
    }

    /// Waits for its next line.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line).unwrap();
        assert!(read > 0, "it ended; it said:\n{}", self.problems.lock().unwrap());
        line
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
