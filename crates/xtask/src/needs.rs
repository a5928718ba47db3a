//! The programs that tests and benchmarks need besides Rust: found, or else installed.
//!
//! To add one, describe it as a [`Need`] and name it in [`TESTS`], [`FUZZ`] or [`BENCHES`].

use crate::command::{Tool, var_os};
use crate::failure::Failure;
use crate::package_manager::{Installer, Machine, PackageManager, Refusal};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What `cargo xtask test` needs.
pub(crate) const TESTS: &[&Need] = &[&REDIS, &CHROMIUM, &CHROMEDRIVER, &PYTHON];
/// What `cargo xtask soak` needs.
pub(crate) const SOAK: &[&Need] = &[&REDIS];
/// What `cargo xtask fuzz` needs.
pub(crate) const FUZZ: &[&Need] = &[&CXX];
/// What `cargo xtask bench` needs.
pub(crate) const BENCHES: &[&Need] = &[&REDIS, &WRK, &H2LOAD];

/// A program that must be there.
#[derive(Debug)]
pub(crate) struct Need {
    name: &'static str,
    why: &'static str,
    /// Overrides the search; what was found is passed on under the same name.
    variable: &'static str,
    /// Looked for in `PATH`, in this order.
    programs: &'static [&'static str],
    /// Tried in this order until the program is there.
    packages: fn(PackageManager) -> &'static [&'static str],
}

const REDIS: Need = Need {
    name: "redis-server",
    why: "the tests of the Redis backend run against a private server; they fail without one, they do not skip",
    variable: "REDIS_SERVER_BIN",
    programs: &["redis-server", "valkey-server"],
    packages: |manager| match manager {
        PackageManager::Apt => &["redis-server", "valkey-server"],
        PackageManager::Dnf | PackageManager::Apk => &["redis", "valkey"],
        PackageManager::Pacman => &["valkey", "redis"],
        PackageManager::Brew => &["redis", "valkey"],
    },
};

const CHROMIUM: Need = Need {
    name: "chromium",
    why: "the example is tested with a real browser; its tests fail without one, they do not skip",
    variable: "CHROMIUM_BIN",
    programs: &["chromium", "chromium-browser", "google-chrome"],
    packages: |manager| match manager {
        PackageManager::Apt => &["chromium", "chromium-browser"],
        PackageManager::Dnf | PackageManager::Apk | PackageManager::Pacman | PackageManager::Brew => {
            &["chromium"]
        }
    },
};

const CHROMEDRIVER: Need = Need {
    name: "chromedriver",
    why: "the tests drive the browser through it",
    variable: "CHROMEDRIVER_BIN",
    programs: &["chromedriver"],
    packages: |manager| match manager {
        PackageManager::Apt => &["chromium-driver", "chromium-chromedriver"],
        PackageManager::Apk => &["chromium-chromedriver"],
        PackageManager::Pacman => &["chromium"],
        PackageManager::Dnf | PackageManager::Brew => &["chromedriver"],
    },
};

const PYTHON: Need = Need {
    name: "python3",
    why: "a gRPC client and a verifier of tokens that share no code with ours are Python's; their tests fail without one",
    variable: PYTHON_BIN,
    programs: &["python3"],
    packages: |manager| match manager {
        // It brings the interpreter along.
        PackageManager::Apt => &["python3-venv"],
        PackageManager::Dnf | PackageManager::Apk => &["python3"],
        PackageManager::Pacman | PackageManager::Brew => &["python"],
    },
};

/// Names the Python that environments with libraries are made of.
pub(crate) const PYTHON_BIN: &str = "PYTHON_BIN";

const WRK: Need = Need {
    name: "wrk",
    why: "the benchmarks ask whole servers with it",
    variable: "WRK_BIN",
    programs: &["wrk"],
    packages: |_| &["wrk"],
};

const H2LOAD: Need = Need {
    name: "h2load",
    why: "the benchmarks call whole gRPC servers with it",
    variable: "H2LOAD_BIN",
    programs: &["h2load"],
    packages: |manager| match manager {
        PackageManager::Apt => &["nghttp2-client"],
        PackageManager::Pacman => &["nghttp2", "libnghttp2"],
        PackageManager::Dnf | PackageManager::Apk | PackageManager::Brew => &["nghttp2"],
    },
};

const CXX: Need = Need {
    name: "a C++ compiler",
    why: "libFuzzer is C++, and is compiled with the targets",
    variable: "CXX",
    programs: &["c++", "g++", "clang++"],
    packages: |manager| match manager {
        PackageManager::Apt | PackageManager::Apk => &["g++"],
        PackageManager::Dnf => &["gcc-c++"],
        PackageManager::Pacman | PackageManager::Brew => &["gcc"],
    },
};

/// Finds every need, installing what is missing, and answers the variables that tell the tests where it is.
pub(crate) fn ensure(needs: &[&'static Need]) -> Result<Vec<(&'static str, OsString)>, Failure> {
    let missing = missing(needs)?;
    if !missing.is_empty() {
        println!("not here, so installing: {}", names(&missing));
        install(&missing)?;
    }
    needs.iter().map(|need| need.found()).collect()
}

/// All of them at once, so that whoever has to install them by hand is told once.
fn missing(needs: &[&'static Need]) -> Result<Vec<&'static Need>, Failure> {
    let located: Vec<_> =
        needs.iter().map(|need| Ok((*need, need.find()?))).collect::<Result<_, Failure>>()?;
    Ok(located.into_iter().filter_map(|(need, path)| path.is_none().then_some(need)).collect())
}

fn install(needs: &[&'static Need]) -> Result<(), Failure> {
    let machine = Machine { has: &is_in_path, is_root: is_root(), sudo_works: &sudo_works };
    let installer = Installer::choose(&machine).map_err(|refusal| unmet(needs, &refusal))?;
    // A stale list may still know the packages; the install decides.
    let _ = installer.refresh().map(run);
    for need in needs {
        need.install(&installer)?;
    }
    let missing = missing(needs)?;
    if missing.is_empty() { Ok(()) } else { Err(unmet(&missing, &Refusal::Failed(installer.manager))) }
}

impl Need {
    fn found(&self) -> Result<(&'static str, OsString), Failure> {
        let path = self.find()?.ok_or_else(|| Failure::Said(format!("{} is gone again", self.name)))?;
        println!("{}: {}", self.name, path.display());
        Ok((self.variable, path.into_os_string()))
    }

    fn find(&self) -> Result<Option<PathBuf>, Failure> {
        let path = var_os("PATH").unwrap_or_default();
        match self.locate(var_os(self.variable).as_deref(), &path) {
            Some(Located::At(path)) => Ok(Some(path)),
            Some(Located::Wrong(path)) => Err(Failure::Said(format!(
                "${} names {}, which is not there; correct the variable or unset it",
                self.variable,
                path.display()
            ))),
            None => Ok(None),
        }
    }

    /// A variable that names nothing is an error, not a reason to take another program than the one asked for.
    fn locate(&self, variable: Option<&OsStr>, path: &OsStr) -> Option<Located> {
        match variable.filter(|value| !value.is_empty()) {
            Some(value) => {
                let found = in_path(path, Path::new(value));
                Some(found.map_or_else(|| Located::Wrong(value.into()), Located::At))
            }
            None => {
                self.programs.iter().find_map(|program| in_path(path, Path::new(program))).map(Located::At)
            }
        }
    }

    /// Package by package, until one brings the program; an earlier need's package may have brought it already.
    fn install(&self, installer: &Installer) -> Result<(), Failure> {
        for package in (self.packages)(installer.manager) {
            if self.find()?.is_some() {
                break;
            }
            // What failed shows in what is missing in the end.
            let _ = run(installer.install(package));
        }
        Ok(())
    }
}

/// What is missing, what each is for, and the command that somebody with more rights can type.
fn unmet(needs: &[&'static Need], refusal: &Refusal) -> Failure {
    let reasons: String = needs.iter().map(|need| format!("\n  {}: {}", need.name, need.why)).collect();
    let by_hand = refusal.manager().map_or_else(String::new, |manager| {
        let packages = needs.iter().filter_map(|need| (need.packages)(manager).first().copied());
        format!("\nType{}\n\n  {}\n\nand run this again.", manager.rights(), manager.by_hand(packages))
    });
    let variables: Vec<_> = needs.iter().map(|need| need.variable).collect();
    Failure::Said(format!(
        "nothing was run, because {refusal}. Missing:{reasons}{by_hand}\n\
         Programs that are not in PATH are named by {}.",
        variables.join(", ")
    ))
}

fn names(needs: &[&'static Need]) -> String {
    needs.iter().map(|need| need.name).collect::<Vec<_>>().join(", ")
}

#[derive(Debug, PartialEq, Eq)]
enum Located {
    At(PathBuf),
    Wrong(PathBuf),
}

fn run(words: Vec<&'static str>) -> Result<(), Failure> {
    let mut words = words.into_iter();
    let program = words.next().unwrap_or_default();
    Tool::new(program).args(words).run()
}

/// The file that a program's name means; a name with a directory in it is not searched for.
fn in_path(path: &OsStr, program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    std::env::split_paths(path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

fn is_in_path(program: &str) -> bool {
    in_path(&var_os("PATH").unwrap_or_default(), Path::new(program)).is_some()
}

/// Asks for the password, if there is one to ask for: once, before anything else runs.
fn sudo_works() -> bool {
    Tool::new("sudo").args(["true"]).run().is_ok()
}

fn is_root() -> bool {
    Tool::new("id").args(["-u"]).output().is_ok_and(|uid| uid.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_wins_and_never_falls_back() {
        let here = std::env::current_exe().unwrap();
        let directory = here.parent().unwrap().as_os_str();
        let file_name = here.file_name().unwrap().to_str().unwrap();
        let programs: &'static [&'static str] = Box::leak(Box::new([&*file_name.to_owned().leak()]));
        let need = Need { programs, ..REDIS };
        let at = || Some(Located::At(here.clone()));
        let rows = [
            ("found in PATH", None, directory, at()),
            ("an empty variable is no variable", Some(OsStr::new("")), directory, at()),
            ("not in PATH", None, OsStr::new("/nowhere"), None),
            ("variable with a path", Some(here.as_os_str()), OsStr::new("/nowhere"), at()),
            ("variable with a name", here.file_name(), directory, at()),
            (
                "variable that names nothing",
                Some(OsStr::new("/nowhere/redis")),
                directory,
                Some(Located::Wrong("/nowhere/redis".into())),
            ),
        ];
        for (name, variable, path, expected) in rows {
            assert_eq!(need.locate(variable, path), expected, "{name}");
        }
    }

    #[test]
    fn every_manager_has_a_package_for_every_need() {
        for need in TESTS.iter().chain(FUZZ).chain(BENCHES) {
            for manager in PackageManager::ALL {
                assert!(!(need.packages)(manager).is_empty(), "{} with {}", need.name, manager.program());
            }
        }
    }

    #[test]
    fn needs_that_cannot_be_met_are_told_together_with_what_to_type() {
        let rows = [
            (
                Refusal::NotRoot(PackageManager::Apt),
                "needs root",
                "apt-get install -y --no-install-recommends",
            ),
            (
                Refusal::NoSudo(PackageManager::Dnf),
                "sudo",
                "dnf install -y redis chromium chromedriver python3",
            ),
            (
                Refusal::Failed(PackageManager::Apt),
                "could not",
                "redis-server chromium chromium-driver python3-venv\n",
            ),
            (Refusal::NoManager, "none of apt-get, dnf", "Missing:"),
        ];
        for (refusal, reason, command) in rows {
            let said = unmet(TESTS, &refusal).to_string();
            let rest = ["do not skip", "REDIS_SERVER_BIN, CHROMIUM_BIN, CHROMEDRIVER_BIN, PYTHON_BIN"];
            for part in [reason, command].iter().chain(&rest) {
                assert!(said.contains(part), "{refusal:?}: {part}: {said}");
            }
        }
    }
}
