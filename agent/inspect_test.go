package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ran is what a command printed.
type ran struct {
	code           int
	stdout, stderr string
}

func run(command func(stdout, stderr *bytes.Buffer) int) ran {
	var stdout, stderr bytes.Buffer
	code := command(&stdout, &stderr)
	return ran{code, stdout.String(), stderr.String()}
}

func validate(args ...string) ran {
	return run(func(stdout, stderr *bytes.Buffer) int { return Validate{stdout, stderr}.Run(args) })
}

func convert(args ...string) ran {
	return run(func(stdout, stderr *bytes.Buffer) int { return Convert{stdout, stderr}.Run(args) })
}

func generate(environment map[string]string, args ...string) ran {
	getenv := func(name string) string { return environment[name] }
	return run(func(stdout, stderr *bytes.Buffer) int { return GenerateConfig{stdout, stderr, getenv}.Run(args) })
}

func wantRun(t *testing.T, got, want ran) {
	t.Helper()
	if got != want {
		t.Errorf("the command printed\n%d\n%s\n%s\nwant\n%d\n%s\n%s", got.code, got.stdout, got.stderr, want.code, want.stdout, want.stderr)
	}
}

// inFolder writes files into a folder of their own, and goes there.
func inFolder(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range files {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

const legacyAgent = "\"template\" = { contents = \"x\" destination = \"y\" perms = 640 } # a file\n"

// Reference, section 2, row 12.
func TestValidate(t *testing.T) {
	inFolder(t, map[string]string{
		"good.hcl":     "auto_auth {\n method \"token_file\" {\n  config { token_file_path = \"t\" }\n }\n sink \"file\" {\n  config { path = \"s\" }\n }\n}\ntemplate {\n contents = \"x\"\n destination = \"y\"\n}\ntemplate {\n contents = \"x\"\n destination = \"z\"\n}\n",
		"legacy.hcl":   legacyAgent,
		"bad.hcl":      "disable_mlock = true\nlog_levle = \"x\"\ntemplate {\n destination = 5\n}\n",
		"template.hcl": "disable_mlock = true\ntemplate {\n contents = \"{{ nope }}\"\n destination = \"y\"\n}\ntemplate {\n source = \"none\"\n destination = \"z\"\n}\n",
	})
	t.Run("a good one", func(t *testing.T) {
		wantRun(t, validate("-config=good.hcl"), ran{0, "The configuration is valid: login by token_file, 1 token sink, 2 templates.\n", ""})
	})
	t.Run("a doubtful one", func(t *testing.T) {
		wantRun(t, validate("legacy.hcl"), ran{0, "The configuration is valid: 1 template.\n",
			"Warning: legacy.hcl:1: the file is legacy HCL: invalid argument name; securevault agent convert rewrites it\n" +
				"Warning: legacy.hcl:1: perms: 640 is taken to mean 0640; write \"0640\"\n"})
	})
	t.Run("every error and warning at once", func(t *testing.T) {
		wantRun(t, validate("-config", "bad.hcl"), ran{2, "",
			"Warning: bad.hcl:1: \"disable_mlock\" has no effect here; remove it\n" +
				"Error: bad.hcl:2: unknown key \"log_levle\"; did you mean \"log_level\"?\n" +
				"Error: bad.hcl:3: the template has neither source nor contents; set source to a path, or contents to the template itself\n" +
				"Error: bad.hcl:4: destination: want a text in double quotes, got a number\n"})
	})
	t.Run("wrong templates", func(t *testing.T) {
		got := validate("-config=template.hcl")
		for _, want := range []string{"Warning: template.hcl:1:", `template.hcl:3: contents:1: there is no function "nope"`, "template.hcl:7: "} {
			if !strings.Contains(got.stderr, want) {
				t.Errorf("%q is missing in\n%s", want, got.stderr)
			}
		}
		if got.code != 2 || got.stdout != "" {
			t.Errorf("exit code %d, output %q", got.code, got.stdout)
		}
	})
	t.Run("nothing named", func(t *testing.T) {
		wantRun(t, validate(), ran{2, "", "Error: no configuration is named; give -config=FILE\n"})
	})
	t.Run("an unknown flag", func(t *testing.T) {
		wantRun(t, validate("-confg=x"), ran{2, "", "Error: flag provided but not defined: -confg; see securevault agent validate -help\n"})
	})
}

func TestConvert(t *testing.T) {
	inFolder(t, map[string]string{
		"legacy.hcl": legacyAgent,
		"agent.json": `{"template": [{"contents": "x", "destination": "z"}]}`,
		"odd.json":   `{"template": [{"contents": "e\u0301", "destination": "z"}]}`,
	})
	got := convert("-config=legacy.hcl", "-config=agent.json")
	wantRun(t, got, ran{0, "template { # a file\n  contents    = \"x\"\n  destination = \"y\"\n  perms       = \"0640\"\n}\n\ntemplate {\n  contents    = \"x\"\n  destination = \"z\"\n}\n",
		"Warning: legacy.hcl:1: the file is legacy HCL: invalid argument name; securevault agent convert rewrites it\n" +
			"Warning: legacy.hcl:1: perms: 640 is taken to mean 0640; write \"0640\"\n"})
	if err := os.WriteFile("new.hcl", []byte(got.stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	wantRun(t, validate("new.hcl"), ran{0, "The configuration is valid: 2 templates.\n", ""})
	wantRun(t, convert("none.hcl"), ran{2, "", "Error: none.hcl: opening the configuration: no such file or directory; check the path\n"})
	if got := convert("odd.json"); got.code != 2 || got.stdout != "" || !strings.Contains(got.stderr, "HCL cannot hold") {
		t.Errorf("a text that HCL changes: %+v", got)
	}
}

func TestGenerateConfig(t *testing.T) {
	inFolder(t, nil)
	environment := map[string]string{"VAULT_ADDR": "http://one:8200"}
	printed := generate(environment, "-path=database/creds/app", "-path=kv/data/x")
	if printed.code != 0 || printed.stderr != "" || !strings.Contains(printed.stdout, `address = "http://one:8200"`) {
		t.Errorf("the command printed %+v", printed)
	}
	wantRun(t, generate(environment, "-path=database/creds/app", "-path=kv/data/x", "agent.hcl"), ran{})
	wantRun(t, validate("agent.hcl"), ran{0, "The configuration is valid: login by approle, 2 templates.\n", ""})
	written, err := os.ReadFile("agent.hcl")
	if err != nil || string(written) != printed.stdout {
		t.Errorf("the file differs from what is printed (%v)", err)
	}
	env := generate(environment, "-type=env-template", "-exec=app serve", "-address=http://two:8200")
	for _, want := range []string{`address = "http://two:8200"`, `env_template "MY_APP_USERNAME"`, `command                   = ["app", "serve"]`} {
		if !strings.Contains(env.stdout, want) {
			t.Errorf("%q is missing in\n%s", want, env.stdout)
		}
	}
	for _, test := range []struct {
		args []string
		want ran
	}{
		{[]string{"agent.hcl"}, ran{7, "", "Error: creating the configuration: open agent.hcl: file exists; name a new file, or none to print it\n"}},
		{[]string{"-type=files"}, ran{2, "", "Error: unknown type \"files\"; use template or env-template\n"}},
		{[]string{"-exec=x"}, ran{2, "", "Error: -exec is for -type=env-template; give both or none\n"}},
		{[]string{"a", "b"}, ran{2, "", "Error: argument \"b\" is not expected; name one file, after all options\n"}},
		{[]string{"-x"}, ran{2, "", "Error: flag provided but not defined: -x; see securevault agent generate-config -help\n"}},
	} {
		wantRun(t, generate(environment, test.args...), test.want)
	}
	if entries, _ := filepath.Glob("*"); len(entries) != 1 {
		t.Errorf("files were left: %q", entries)
	}
}

func TestHelpOfTheCommandsNamesEveryFlag(t *testing.T) {
	for help, flags := range map[string][]string{
		Validate{}.Help():       {"-config=path"},
		Convert{}.Help():        {"-config=path"},
		GenerateConfig{}.Help(): {"-type=kind", "-path=path", "-exec=command", "-address=address"},
	} {
		for _, flag := range flags {
			if !strings.Contains(help, "  "+flag+"\n") {
				t.Errorf("%q is missing in\n%s", flag, help)
			}
		}
	}
}
