package main

import "github.com/urfave/cli/v2"

func configImportCommand() *cli.Command { return &cli.Command{Name: "import"} }
