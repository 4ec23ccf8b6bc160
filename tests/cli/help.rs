//! The help of every command, as people read it.

use clap::CommandFactory;
use protostill::cli::args::Cli;

#[test]
fn the_help_of_every_command_is_what_it_was() {
    let mut cli = Cli::command().term_width(100);
    cli.build();
    insta::assert_snapshot!("protostill", cli.render_long_help());
    for command in cli.get_subcommands_mut() {
        if command.get_name() != "help" {
            insta::assert_snapshot!(command.get_name().to_owned(), command.render_long_help());
        }
    }
}
