//! What people read on the terminal, and programs from a pipe. Colours only on a terminal.

use std::io::{IsTerminal, Lines, Read, StdinLock, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use resto_core::{Code, Error, Result, clean};
use secrecy::SecretString;
use serde::Serialize;

use crate::entering::as_meant;

/// Standard output.
#[derive(Clone, Copy)]
pub(super) struct Out {
    /// Whether programs read it.
    pub json: bool,
    coloured: bool,
}

/// How a word is meant.
#[derive(Clone, Copy)]
pub(super) enum Tone {
    /// A heading.
    Strong,
    /// All is well.
    Good,
    /// Look at this.
    Bad,
}

impl Out {
    pub fn new(json: bool) -> Self {
        Self { json, coloured: std::io::stdout().is_terminal() }
    }

    /// One line.
    #[expect(clippy::unused_self, reason = "standard output is what `self` stands for")]
    pub fn line(self, text: impl AsRef<str>) {
        // A reader that went away, as `head` does, is no failure.
        let _ = writeln!(std::io::stdout(), "{}", text.as_ref());
    }

    /// Text in a tone, for [`Out::line`].
    pub fn tone(self, tone: Tone, text: &str) -> String {
        paint(self.coloured, tone, text)
    }

    /// A value as JSON.
    pub fn value(self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(value).map_err(|error| {
            Error::new(Code::Internal, format!("The result cannot be written: {error}"))
        })?;
        self.line(text);
        Ok(())
    }

    /// Rows in columns, as wide as they need to be; the last column takes what is left.
    pub fn table<const N: usize>(self, head: [&str; N], rows: &[[String; N]]) {
        let mut widths = head.map(str::len);
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |cells: [&str; N]| {
            let padded: Vec<String> =
                cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            padded.join("  ").trim_end().to_owned()
        };
        self.line(self.tone(Tone::Strong, &line(head)));
        for row in rows {
            self.line(line(row.each_ref().map(String::as_str)));
        }
    }

    /// Tells a failure on standard error.
    pub fn fail(self, error: &Error) -> ExitCode {
        let mut stderr = std::io::stderr();
        let told = if self.json {
            serde_json::to_string(error).unwrap_or_else(|_| error.to_string())
        } else {
            let said = error.details().said.as_ref();
            let said = said.map(|said| format!("\nIts own words: {said}")).unwrap_or_default();
            format!("{} {error}{said}", paint(stderr.is_terminal(), Tone::Bad, "error:"))
        };
        let _ = writeln!(stderr, "{told}");
        ExitCode::FAILURE
    }

    /// A remark for the person at the terminal, beside the output.
    pub fn remark(self, text: impl AsRef<str>) {
        if !self.json {
            let _ = writeln!(std::io::stderr(), "{}", text.as_ref());
        }
    }
}

fn paint(coloured: bool, tone: Tone, text: &str) -> String {
    let style = match tone {
        _ if !coloured || std::env::var_os("NO_COLOR").is_some() => Style::new(),
        Tone::Strong => Style::new().bold(),
        Tone::Good => AnsiColor::Green.on_default(),
        Tone::Bad => AnsiColor::Red.on_default().bold(),
    };
    format!("{style}{text}{style:#}")
}

/// Set when a person pressed Ctrl-C in a command that goes on to its end: a prompt does not.
pub(super) static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// What a person typed, unless Ctrl-C came first.
fn typed<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(read()));
    loop {
        match receiver.recv_timeout(Duration::from_millis(50)) {
            Ok(typed) => return Ok(typed),
            Err(RecvTimeoutError::Timeout) if !INTERRUPTED.load(Ordering::Relaxed) => {}
            Err(_) => return Err(Error::new(Code::Denied, "Interrupted. Nothing was done.")),
        }
    }
}

/// Reads a secret: the next line of standard input, or a prompt that shows nothing.
pub(super) fn read_secret(
    prompt: &str,
    stdin: Option<&mut Lines<StdinLock<'static>>>,
) -> Result<SecretString> {
    let unreadable = |error: std::io::Error| {
        Error::new(Code::InvalidInput, format!("The value cannot be read: {error}"))
    };
    let text = if let Some(lines) = stdin {
        lines.next().transpose().map_err(unreadable)?.unwrap_or_default()
    } else if std::io::stdin().is_terminal() {
        let prompt = prompt.to_owned();
        typed(move || rpassword::prompt_password(prompt))?.map_err(unreadable)?
    } else {
        return Err(Error::new(
            Code::InvalidInput,
            "There is no terminal to type the value at. Give it on standard input: --key-stdin (connect) or --secret-stdin (call).",
        ));
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Error::new(Code::InvalidInput, "No value was given. Nothing was done."));
    }
    Ok(SecretString::from(text))
}

/// Reads a secret of any number of lines: all of standard input.
pub(super) fn read_whole() -> Result<SecretString> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| {
        Error::new(Code::InvalidInput, format!("The value cannot be read: {error}"))
    })?;
    as_meant(&text)
        .ok_or_else(|| Error::new(Code::InvalidInput, "No value was given. Nothing was done."))
}

/// Lets a person type the name of the thing before something that cannot be undone.
pub(super) fn confirm(what: &str, name: &str) -> Result<()> {
    // The arguments may be an agent's: what the person reads must be what is meant.
    if name.contains(char::is_control) || clean(name) != name {
        return Err(Error::new(
            Code::Denied,
            format!(
                "The name `{}` holds characters that cannot be seen. Nothing was done.",
                clean(name).replace(char::is_control, " ")
            ),
        ));
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::new(
            Code::Denied,
            format!("{what} A person has to type its name at a terminal, and there is none here."),
        ));
    }
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "{what}\nType `{name}` to go on: ");
    let answer = typed(|| std::io::stdin().lines().next())?;
    if answer.is_some_and(|line| line.is_ok_and(|line| line.trim() == name)) {
        return Ok(());
    }
    Err(Error::new(Code::Denied, "The name was not typed. Nothing was done."))
}
