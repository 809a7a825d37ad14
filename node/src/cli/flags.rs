//! One flag per setting, made from the list of settings itself.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::config::Setting;

/// The settings that were given as flags; a list may be given in several.
#[derive(Clone, Debug, Default)]
pub(crate) struct SettingFlags(pub(crate) Vec<(Setting, String)>);

/// Those of every command are not repeated here.
fn own() -> impl Iterator<Item = Setting> {
    Setting::ALL.iter().copied().filter(|s| !matches!(s, Setting::DataDir | Setting::Log))
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        own().fold(command, |command, setting| {
            let about = setting.about().trim_end_matches('.');
            command.arg(
                Arg::new(setting.key())
                    .long(setting.key())
                    .help(format!("{about} [env: {}]", setting.env()))
                    .value_name("VALUE")
                    .action(ArgAction::Append),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |setting: Setting| {
            let values: Vec<&String> = matches.get_many(setting.key())?.collect();
            let join = |values: &[&String]| {
                values.iter().map(|value| value.as_str()).collect::<Vec<_>>().join(",")
            };
            let value = match values.as_slice() {
                all if setting.is_list() => join(all),
                [.., last] => (*last).clone(),
                [] => return None,
            };
            Some((setting, value))
        };
        Ok(Self(own().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
