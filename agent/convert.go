package agent

import (
	"io"

	"github.com/novatech/securevault/agent/config"
)

// Convert is `securevault agent convert`: it prints a configuration in JSON or
// legacy HCL as HCL2.
type Convert struct {
	Stdout, Stderr io.Writer
}

// Synopsis describes the command in one line.
func (Convert) Synopsis() string {
	return "Rewrite a JSON or legacy configuration of an agent as HCL2"
}

// Help describes the command, its flags and its exit codes.
func (Convert) Help() string {
	return `Usage: securevault agent convert -config=FILE [-config=FILE ...]

  Prints the configuration of this agent, or of Vault Agent, in the syntax and
  with the names that this agent prefers. Several files become one. The result
  means the same, and keeps the comments of HCL files. The files themselves are
  left as they are.

Example:

  $ securevault agent convert -config=old.json > agent.hcl

Options:
` + describe(new(paths).set("agent convert")) + `
Exit codes:

  0  done                              2  a configuration or the usage is wrong`
}

// Run converts the configuration and returns the exit code.
func (c Convert) Run(args []string) int {
	var configs paths
	if err := configs.parse("agent convert", args); err != nil {
		return complain(c.Stderr, nil, err)
	}
	source, file, err := config.Convert(configs...)
	if err != nil {
		return complain(c.Stderr, warningsOf(file, err), failure{ExitConfig, err})
	}
	if _, err := c.Stdout.Write(source); err != nil {
		return complain(c.Stderr, nil, err)
	}
	return complain(c.Stderr, file.Warnings, nil)
}
