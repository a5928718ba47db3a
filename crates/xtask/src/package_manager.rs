//! The system's package manager: which one is here, and the commands that install a package with it.

/// In the order in which we look: `brew` is last because it also exists on Linux, beside the system's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PackageManager {
    Apt,
    Dnf,
    Apk,
    Pacman,
    Brew,
}

/// What we know about the machine.
pub(crate) struct Machine<'a> {
    pub(crate) has: &'a dyn Fn(&str) -> bool,
    pub(crate) is_root: bool,
    /// Asked last, because it may ask for a password.
    pub(crate) sudo_works: &'a dyn Fn() -> bool,
}

/// Why something could not be installed here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoManager,
    NotRoot(PackageManager),
    NoSudo(PackageManager),
    Failed(PackageManager),
}

/// How to install on this machine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Installer {
    pub(crate) manager: PackageManager,
    sudo: bool,
}

impl PackageManager {
    pub(crate) const ALL: [Self; 5] = [Self::Apt, Self::Dnf, Self::Apk, Self::Pacman, Self::Brew];

    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Apt => "apt-get",
            Self::Dnf => "dnf",
            Self::Apk => "apk",
            Self::Pacman => "pacman",
            Self::Brew => "brew",
        }
    }

    /// What must run before an install, so that the list of packages is neither empty nor stale.
    fn refresh(self) -> &'static [&'static str] {
        match self {
            Self::Apt => &["apt-get", "update", "-q"],
            Self::Pacman => &["pacman", "-Sy", "--noconfirm"],
            Self::Dnf | Self::Apk | Self::Brew => &[],
        }
    }

    fn install(self) -> &'static [&'static str] {
        match self {
            Self::Apt => &[
                "env",
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
                "install",
                "-y",
                "--no-install-recommends",
            ],
            Self::Dnf => &["dnf", "install", "-y"],
            Self::Apk => &["apk", "add", "--no-cache"],
            Self::Pacman => &["pacman", "-S", "--noconfirm", "--needed"],
            Self::Brew => &["brew", "install"],
        }
    }

    /// brew refuses to run as root and needs no rights.
    fn needs_root(self) -> bool {
        self != Self::Brew
    }

    /// Who types what [`PackageManager::by_hand`] answers.
    pub(crate) fn rights(self) -> &'static str {
        if self.needs_root() { ", as root" } else { "" }
    }

    /// The line that a person types.
    pub(crate) fn by_hand<'a>(self, packages: impl IntoIterator<Item = &'a str>) -> String {
        let refresh = self.refresh().join(" ");
        let and = if refresh.is_empty() { "" } else { " && " };
        let install = self.install().iter().copied().chain(packages).collect::<Vec<_>>().join(" ");
        format!("{refresh}{and}{install}")
    }
}

impl Refusal {
    /// The one that a person could use instead of us.
    pub(crate) fn manager(&self) -> Option<PackageManager> {
        match self {
            Self::NoManager => None,
            Self::NotRoot(manager) | Self::NoSudo(manager) | Self::Failed(manager) => Some(*manager),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoManager => {
                f.write_str("there is none of apt-get, dnf, apk, pacman, brew to install with")
            }
            Self::NotRoot(manager) => write!(f, "{} needs root, and there is no sudo", manager.program()),
            Self::NoSudo(manager) => write!(f, "{} needs root, and sudo refused", manager.program()),
            Self::Failed(manager) => write!(f, "{} could not install everything", manager.program()),
        }
    }
}

impl Installer {
    pub(crate) fn choose(machine: &Machine<'_>) -> Result<Self, Refusal> {
        let manager = PackageManager::ALL.into_iter().find(|manager| (machine.has)(manager.program()));
        let manager = manager.ok_or(Refusal::NoManager)?;
        if machine.is_root || !manager.needs_root() {
            Ok(Self { manager, sudo: false })
        } else if !(machine.has)("sudo") {
            Err(Refusal::NotRoot(manager))
        } else if !(machine.sudo_works)() {
            Err(Refusal::NoSudo(manager))
        } else {
            Ok(Self { manager, sudo: true })
        }
    }

    /// The command that brings the list of packages up to date, if this manager wants one.
    pub(crate) fn refresh(&self) -> Option<Vec<&'static str>> {
        let words = self.manager.refresh();
        (!words.is_empty()).then(|| self.with_rights(words))
    }

    pub(crate) fn install(&self, package: &'static str) -> Vec<&'static str> {
        let mut words = self.with_rights(self.manager.install());
        words.push(package);
        words
    }

    fn with_rights(&self, words: &[&'static str]) -> Vec<&'static str> {
        self.sudo.then_some("sudo").into_iter().chain(words.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Row {
        name: &'static str,
        programs: &'static [&'static str],
        is_root: bool,
        expected: Result<&'static str, Refusal>,
    }

    #[test]
    fn the_first_manager_present_installs_with_the_rights_it_needs() {
        let rows = [
            Row {
                name: "root on Debian",
                programs: &["apt-get", "sudo"],
                is_root: true,
                expected: Ok(
                    "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends redis",
                ),
            },
            Row {
                name: "user with sudo on Fedora",
                programs: &["dnf", "sudo"],
                is_root: false,
                expected: Ok("sudo dnf install -y redis"),
            },
            Row {
                name: "user whom sudo refuses",
                programs: &["apt-get", "sudo", "no password"],
                is_root: false,
                expected: Err(Refusal::NoSudo(PackageManager::Apt)),
            },
            Row {
                name: "user without sudo on Arch",
                programs: &["pacman"],
                is_root: false,
                expected: Err(Refusal::NotRoot(PackageManager::Pacman)),
            },
            Row {
                name: "root on Alpine",
                programs: &["apk"],
                is_root: true,
                expected: Ok("apk add --no-cache redis"),
            },
            Row {
                name: "brew never gets sudo",
                programs: &["brew", "sudo"],
                is_root: false,
                expected: Ok("brew install redis"),
            },
            Row {
                name: "the system's own before brew",
                programs: &["brew", "dnf"],
                is_root: true,
                expected: Ok("dnf install -y redis"),
            },
            Row {
                name: "no manager at all",
                programs: &["sudo"],
                is_root: true,
                expected: Err(Refusal::NoManager),
            },
        ];
        for Row { name, programs, is_root, expected } in rows {
            let has = |program: &str| programs.contains(&program);
            let machine = Machine { has: &has, is_root, sudo_works: &|| !has("no password") };
            let command = Installer::choose(&machine).map(|installer| installer.install("redis").join(" "));
            assert_eq!(command, expected.map(str::to_owned), "{name}");
        }
    }

    #[test]
    fn apt_reads_its_lists_first_because_a_fresh_image_has_none() {
        let apt = Installer { manager: PackageManager::Apt, sudo: true };
        assert_eq!(apt.refresh(), Some(vec!["sudo", "apt-get", "update", "-q"]));
        let brew = Installer { manager: PackageManager::Brew, sudo: false };
        assert_eq!(brew.refresh(), None);
    }
}
