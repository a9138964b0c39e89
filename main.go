// Command securevault keeps an app's short-lived credentials fresh (package
// agent), and is the client of the server that issues them (package cli).
// Called through a symlink it goes by that name, so that scripts which type
// vault work unchanged.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	hashicli "github.com/hashicorp/cli"

	"github.com/novatech/securevault/agent"
	"github.com/novatech/securevault/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args, cli.System(), commands(ctx))
	stop()
	os.Exit(code)
}

// commands is the table of the commands that package cli does not bring.
func commands(ctx context.Context) map[string]hashicli.CommandFactory {
	return map[string]hashicli.CommandFactory{
		"agent": func() (hashicli.Command, error) {
			return agent.Command{Ctx: ctx, Stderr: os.Stderr, Getenv: os.Getenv}, nil
		},
		"agent convert": func() (hashicli.Command, error) {
			return agent.Convert{Stdout: os.Stdout, Stderr: os.Stderr}, nil
		},
		"agent generate-config": func() (hashicli.Command, error) {
			return agent.GenerateConfig{Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}, nil
		},
		"agent plan": func() (hashicli.Command, error) {
			return agent.Plan{Ctx: ctx, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}, nil
		},
		"agent status": func() (hashicli.Command, error) {
			return agent.Status{Ctx: ctx, Stdout: os.Stdout, Stderr: os.Stderr}, nil
		},
		"agent validate": func() (hashicli.Command, error) {
			return agent.Validate{Stdout: os.Stdout, Stderr: os.Stderr}, nil
		},
	}
}
