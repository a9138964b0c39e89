package config

import (
	"fmt"
	"path"
	"strings"
)

// Starter says what a first configuration is to hold.
type Starter struct {
	Env     bool     // the secrets go into the environment of Command rather than into files
	Secrets []string // their paths; a database role for an example if there are none
	Command []string // what the agent starts with Env; an example if empty
	Address string   // of the server; an example if empty
}

// HCL returns the configuration, with a comment on what to change. It loads.
func (s Starter) HCL() []byte {
	if len(s.Secrets) == 0 {
		s.Secrets = []string{"database/creds/my-app"}
	}
	if len(s.Command) == 0 {
		s.Command = []string{"./my-app"}
	}
	if s.Address == "" {
		s.Address = "https://127.0.0.1:8200"
	}
	var out strings.Builder
	fmt.Fprintf(&out, starterLogin, quote(s.Address))
	if s.Env {
		s.environment(&out)
	} else {
		s.files(&out)
	}
	return []byte(out.String())
}

const starterLogin = `# A first configuration. Try it with: securevault agent validate -config=FILE

vault {
  address = %s
}

# How the agent logs in. Both files are written by whoever deploys the app.
auto_auth {
  method "approle" {
    config {
      role_id_file_path                   = "role-id"
      secret_id_file_path                 = "secret-id"
      remove_secret_id_file_after_reading = true
    }
  }
}

# Renews at half of the TTL, and lets a replaced credential live on for a while.
lease {
  renew_at = 0.5
  overlap  = "30s"
}
`

// fields returns the names of what a secret is known to hold, and how a
// template reaches them. Of a secret of unknown content it is an example.
func fields(secret string) (names []string, data string) {
	switch {
	case strings.Contains(secret, "/creds/"):
		return []string{"username", "password"}, ".Data"
	case strings.Contains(secret, "/data/"):
		return []string{"value"}, ".Data.data"
	default:
		return []string{"value"}, ".Data"
	}
}

func (s Starter) files(out *strings.Builder) {
	for _, secret := range s.Secrets {
		names, data := fields(secret)
		var contents strings.Builder
		fmt.Fprintf(&contents, "{{ with secret %q }}", secret)
		for _, name := range names {
			fmt.Fprintf(&contents, "%s={{ %s.%s }}\n", strings.ToUpper(name), data, name)
		}
		contents.WriteString("{{ end }}\n")
		fmt.Fprintf(out, `
# A file of the app. It is replaced as a whole, and only when it changes.
template {
  contents    = %s
  destination = %s
  perms       = "0600"
  # command   = ["systemctl", "reload", "my-app"]
}
`, expression(value{kind: text, scalar: contents.String()}), quote(path.Base(secret)+".env"))
	}
}

func (s Starter) environment(out *strings.Builder) {
	taken := make(map[string]bool)
	for _, secret := range s.Secrets {
		names, data := fields(secret)
		for _, name := range names {
			variable := variableName(path.Base(secret) + "_" + name)
			for taken[variable] {
				variable += "_"
			}
			taken[variable] = true
			contents := fmt.Sprintf("{{ with secret %q }}{{ %s.%s }}{{ end }}", secret, data, name)
			fmt.Fprintf(out, `
env_template %s {
  contents             = %s
  error_on_missing_key = true
}
`, quote(variable), quote(contents))
		}
	}
	fmt.Fprintf(out, `
# The app. It is started with the variables above, and anew when one changes.
exec {
  command                   = %s
  restart_on_secret_changes = "always"
  restart_stop_signal       = "SIGTERM"
}
`, expression(textList(s.Command)))
}

// variableName returns a text as the name of an environment variable.
func variableName(s string) string {
	name := strings.Map(func(r rune) rune {
		if r < 0x80 && isVariable("_"+string(r)) {
			return r
		}
		return '_'
	}, strings.ToUpper(s))
	if !isVariable(name) {
		return "_" + name
	}
	return name
}
