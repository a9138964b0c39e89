package templates

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

// store is the secrets a test has, by the text of the want.
type store map[string]*vault.Secret

func (s store) lookup(w vault.Want) (*vault.Secret, bool) {
	secret, ok := s[w.String()+w.Params]
	return secret, ok
}

func secrets() store {
	return store{
		"database/creds/app": {
			LeaseID: "database/creds/app/1", TTL: time.Hour, Renewable: true, RequestID: "r-1", Warnings: []string{"w"},
			Data: map[string]any{"username": "v-app-1", "password": "hunter2-hunter2", "port": json.Number("5432")},
		},
		"secret/data/app": {Data: map[string]any{
			"data":     map[string]any{"user": "u", "next": "database/creds/app", "list": []any{"x", "y"}},
			"metadata": map[string]any{"version": json.Number("3")},
		}},
		`secret/data/app{"version":"2"}`:                       {Data: map[string]any{"data": map[string]any{"user": "old"}}},
		`write pki/issue/web{"common_name":"a.b","ttl":"24h"}`: {Data: map[string]any{"certificate": "CERT"}},
		"write transit/random":                                 {Data: map[string]any{"random": "RND"}},
		"list secret/metadata":                                 {Data: map[string]any{"keys": []any{"b", "a"}}},
	}
}

func env(name string) (string, bool) {
	value, ok := map[string]string{"REGION": "eu", "VAULT_TOKEN": "hvs.x", "EMPTY": ""}[name]
	return value, ok
}

// render makes a template and evaluates it once.
func render(t *testing.T, cfg Config, s store) (Result, error) {
	t.Helper()
	if cfg.LookupEnv == nil {
		cfg.LookupEnv = env
	}
	made, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return made.Render(s.lookup)
}

func TestLanguage(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"no action":                     {"plain\n", "plain\n"},
		"a secret in with":              {`{{ with secret "database/creds/app" }}{{ .Data.username }}:{{ .Data.password }}{{ end }}`, "v-app-1:hunter2-hunter2"},
		"a secret in parentheses":       {`{{ (secret "database/creds/app").Data.username }}`, "v-app-1"},
		"a secret in a variable":        {`{{ $s := secret "/database/creds/app" }}{{ $s.Data.port }}`, "5432"},
		"the lease":                     {`{{ with secret "database/creds/app" }}{{ .LeaseID }} {{ .LeaseDuration }} {{ .Renewable }} {{ .RequestID }} {{ .Warnings }}{{ end }}`, "database/creds/app/1 3600 true r-1 [w]"},
		"no login":                      {`{{ with secret "database/creds/app" }}{{ with .Auth }}{{ .ClientToken }}{{ else }}none{{ end }}{{ end }}`, "none"},
		"key-value version 2":           {`{{ with secret "secret/data/app" }}{{ .Data.data.user }} v{{ .Data.metadata.version }}{{ end }}`, "u v3"},
		"parameters of a read":          {`{{ with secret "secret/data/app?version=2" }}{{ .Data.data.user }}{{ end }}`, "old"},
		"a write":                       {`{{ with secret "pki/issue/web" "common_name=a.b" "ttl=24h" }}{{ .Data.certificate }}{{ end }}`, "CERT"},
		"a write without parameters":    {`{{ with secret "transit/random" "" }}{{ .Data.random }}{{ end }}`, "RND"},
		"a list":                        {`{{ range secrets "secret/metadata/" }}{{ . }};{{ end }}`, "a;b;"},
		"a secret named by another":     {`{{ with secret "secret/data/app" }}{{ with secret .Data.data.next }}{{ .Data.username }}{{ end }}{{ end }}`, "v-app-1"},
		"range over data":               {`{{ with secret "database/creds/app" }}{{ range $k, $v := .Data }}{{ $k }}={{ $v }} {{ end }}{{ end }}`, "password=hunter2-hunter2 port=5432 username=v-app-1 "},
		"range with trimming":           {"{{ with secret \"secret/data/app\" }}{{ range .Data.data.list }}\n  {{- . }}\n{{ end }}{{ end }}", "x\ny\n"},
		"range with an else":            {`{{ range parseJSON "[]" }}{{ else }}none{{ end }}`, "none"},
		"break and continue":            {`{{ range loop 9 }}{{ if eq . 1 }}{{ continue }}{{ end }}{{ if eq . 4 }}{{ break }}{{ end }}{{ . }}{{ end }}`, "023"},
		"loop from and to":              {`{{ range $i, $n := loop 2 "5" }}{{ $i }}:{{ $n }} {{ end }}`, "0:2 1:3 2:4 "},
		"toJSON of data":                {`{{ with secret "secret/data/app" }}{{ .Data.data | toJSON }}{{ end }}`, `{"list":["x","y"],"next":"database/creds/app","user":"u"}`},
		"toYAML of data":                {`{{ with secret "secret/data/app" }}{{ .Data.data.list | toYAML }}{{ end }}`, "- x\n- \"y\""},
		"base64 both ways":              {`{{ base64Encode "a" }} {{ base64Decode "YQ==" }}`, "YQ== a"},
		"sprig":                         {`{{ sprig_upper "a" }}{{ "b" | sprig_repeat 2 }}`, "Abb"},
		"scratch":                       {`{{ scratch.Set "k" "v" }}{{ scratch.Get "k" }}`, "v"},
		"parsing and arithmetic":        {`{{ with parseJSON "{\"a\":2}" }}{{ .a | multiply 3 }}{{ end }} {{ "7" | parseInt | add 1 }}`, "6 8"},
		"strings":                       {`{{ "a,b" | split "," | join "-" }} {{ "Ab" | toLower }} {{ " x " | trimSpace }} {{ "aXb" | replaceAll "X" "-" }}`, "a-b ab x a-b"},
		"hashes":                        {`{{ sha256Hex "a" | printf "%.8s" }}`, "ca978112"},
		"a defined template":            {`{{ define "t" }}<{{ . }}>{{ end }}{{ template "t" 1 }}{{ executeTemplate "t" 2 }}`, "<1><2>"},
		"a block":                       {`{{ block "t" 3 }}[{{ . }}]{{ end }}`, "[3]"},
		"the environment":               {`{{ env "REGION" }} {{ envOrDefault "NONE" "d" }} {{ mustEnv "REGION" }} [{{ env "NONE" }}] [{{ envOrDefault "EMPTY" "d" }}]`, "eu d eu [] []"},
		"a missing key":                 {`{{ with secret "database/creds/app" }}{{ .Data.none }}{{ end }}`, "<no value>"},
		"a comment":                     {`a{{/* b */}}c`, "ac"},
		"builtins":                      {`{{ if and (eq 1 1) (not false) }}{{ printf "%03d" 7 }} {{ index (parseJSON "[5]") 0 }} {{ len "abc" }}{{ end }}`, "007 5 3"},
		"a comparison with a secret":    {`{{ with secret "database/creds/app" }}{{ if eq .Data.username "v-app-1" }}yes{{ end }}{{ end }}`, "yes"},
		"several lines with trim marks": {"{{- with secret \"database/creds/app\" -}}\nuser={{ .Data.username }}\n{{- end }}\n", "user=v-app-1\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := render(t, Config{Contents: test.text}, secrets())
			if err != nil || len(got.Pending) > 0 {
				t.Fatalf("error %v, pending %v", err, got.Pending)
			}
			if string(got.Output) != test.want {
				t.Errorf("got %q, want %q", got.Output, test.want)
			}
		})
	}
}

func TestCustomDelimitersAlsoHoldForWhatIsPutIn(t *testing.T) {
	got, err := render(t, Config{
		Contents:  "{{ stays }}<< range loop 2 >>\n<<- . >><< end >><< define \"t\" >><<- \"t\" >><< end >><< template \"t\" >>",
		LeftDelim: "<<", RightDelim: ">>",
	}, nil)
	if err != nil || string(got.Output) != "{{ stays }}01t" {
		t.Errorf("got %q, %v", got.Output, err)
	}
}

func TestWantsAreFoundInOnePassWherePossible(t *testing.T) {
	tests := map[string]struct {
		text    string
		have    []string
		wants   string
		pending string
	}{
		"nothing there":              {`{{ with secret "a" }}{{ .Data.x }}{{ end }}{{ with secret "b" }}{{ end }}`, nil, "[a b]", "[a b]"},
		"one of two there":           {`{{ with secret "a" }}{{ .Data.x }}{{ end }}{{ with secret "b" }}{{ end }}`, []string{"a"}, "[a b]", "[b]"},
		"the same twice":             {`{{ secret "a" }}{{ secret "/a/" }}`, nil, "[a]", "[a]"},
		"fields of what is pending":  {`{{ (secret "a").Data.data.x }}{{ (secret "b").LeaseID }}{{ secret (env "REGION") }}`, nil, "[a b eu]", "[a b eu]"},
		"range over what is pending": {`{{ range $k, $v := (secret "a").Data }}{{ end }}{{ range secrets "l" }}{{ end }}{{ secret (env "REGION") }}`, nil, "[a list l eu]", "[a list l eu]"},
		"an else branch":             {`{{ with secret "a" }}{{ else }}{{ secret "b" }}{{ end }}`, nil, "[a b]", "[a b]"},
		"within a pending with":      {`{{ with secret "a" }}{{ secret "b" }}{{ end }}`, nil, "[a]", "[a]"},
		"within a with that is here": {`{{ with secret "a" }}{{ secret "b" }}{{ end }}`, []string{"a"}, "[a b]", "[b]"},
		"an untaken condition":       {`{{ if false }}{{ secret "a" }}{{ end }}x`, nil, "[]", "[]"},
		"a short-circuited or":       {`{{ or "x" (secret "a") }}`, nil, "[]", "[]"},
		"a piped path":               {`{{ with "a" | secret }}{{ end }}`, nil, "[a]", "[a]"},
		"an error while pending":     {`{{ parseInt (secret "a").Data.x }}`, nil, "[a]", "[a]"},
		"a strict key while pending": {`{{ with secret (env "REGION") }}{{ end }}{{ (secret "a").Data.x }}{{ secret "b" }}`, nil, "[a b eu]", "[a b eu]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			have := store{}
			for _, path := range test.have {
				have[path] = &vault.Secret{Data: map[string]any{"x": "1"}}
			}
			got, err := render(t, Config{Contents: test.text, ErrOnMissingKey: strings.Contains(name, "strict")}, have)
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(got.Wants) != test.wants || fmt.Sprint(got.Pending) != test.pending {
				t.Errorf("wants %v, pending %v; want %s, %s", got.Wants, got.Pending, test.wants, test.pending)
			}
			if len(got.Pending) > 0 && got.Output != nil {
				t.Errorf("an output %q while something is pending", got.Output)
			}
		})
	}
}

func TestTextsThatAreRefused(t *testing.T) {
	tests := map[string]struct {
		cfg  Config
		says []string
	}{
		"neither source nor contents":    {Config{Name: "t"}, []string{`"t"`, "either a source or contents"}},
		"a source that is missing":       {Config{Source: "/none/x.ctmpl"}, []string{"/none/x.ctmpl", "no such file"}},
		"a source that is no file":       {Config{Source: "/dev/null"}, []string{"/dev/null", "not a regular file"}},
		"an end that is missing":         {Config{Name: "t", Contents: "a\n{{ if true }}"}, []string{"t:2: unexpected EOF", `by an "end"`}},
		"an unclosed action":             {Config{Name: "t", Contents: "a\nb\n{{ env \"x\"\nc"}, []string{"t:4: unclosed action started at line 3"}},
		"a function nobody knows":        {Config{Name: "t", Contents: "\n{{ secert \"a\" }}"}, []string{`t:2: there is no function "secert"`, `did you mean "secret"?`}},
		"a sprig function unprefixed":    {Config{Name: "t", Contents: `{{ camelcase "a" }}`}, []string{"t:1:", `did you mean "sprig_camelcase"?`}},
		"a function of Consul":           {Config{Name: "t", Contents: "\n\n{{ key \"a\" }}"}, []string{`t:3: the function "key" asks Consul`}},
		"a function of Nomad":            {Config{Name: "t", Contents: `{{ nomadVar "a" }}`}, []string{`"nomadVar" asks Nomad`}},
		"pkiCert without a path":         {Config{Name: "t", Contents: `{{ pkiCert }}`}, []string{"t:1:", "pkiCert needs a path"}},
		"a key made here to be issued":   {Config{Name: "t", Contents: `{{ pkiCert "pki/issue/web" "csr=local" }}`}, []string{"t:1:", "use the path with sign"}},
		"a key of a strange type":        {Config{Name: "t", Contents: `{{ pkiCert "pki/sign/web" "csr=local" "key_type=dsa" }}`}, []string{"t:1:", `"dsa"`, "ed25519"}},
		"a function of Consul's answers": {Config{Name: "t", Contents: `{{ byTag "a" }}`}, []string{`"byTag" groups what Consul answers`}},
		"plugin":                         {Config{Name: "t", Contents: `{{ plugin "a" }}`}, []string{`"plugin" would run`}},
		"a denied function":              {Config{Name: "t", Contents: `{{ sprig_upper "a" }}`, Denylist: []string{"sprig_*"}}, []string{"t:1:", `"sprig_*"`}},
		"a denied function of ours":      {Config{Name: "t", Contents: `{{ env "a" }}`, Denylist: []string{"env"}}, []string{`"env" is on the denylist`}},
		"a parameter that is no pair":    {Config{Name: "t", Contents: "\n{{ secret \"a\" \"b\" }}"}, []string{"t:2:", "no key=value"}},
		"a secret without a path":        {Config{Name: "t", Contents: "{{ secret \"\" }}"}, []string{"t:1:", "it is empty"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := New(test.cfg)
			if err == nil {
				t.Fatal("no error")
			}
			for _, phrase := range test.says {
				if !strings.Contains(err.Error(), phrase) {
					t.Errorf("%q does not say %q", err, phrase)
				}
			}
		})
	}
}

func TestErrorsNameTheLineAndHideTheSecret(t *testing.T) {
	const with = "line one\n{{ with secret \"database/creds/app\" }}"
	tests := map[string]struct{ action, says string }{
		"fail":                 {`{{ sprig_fail .Data.password }}`, ""},
		"fail with a part":     {`{{ sprig_fail (printf "%.7s…" .Data.password) }}`, ""},
		"fail twice over":      {`{{ sprig_fail (printf "%q %v" .Data.password .Data) }}`, ""},
		"parseInt":             {`{{ parseInt .Data.password }}`, "parseInt"},
		"parseJSON":            {`{{ parseJSON .Data.password }}`, "parseJSON"},
		"parseYAML":            {`{{ parseYAML (printf "a: [%s" .Data.password) }}`, "parseYAML"},
		"loop":                 {`{{ loop .Data.password }}`, "loop"},
		"index":                {`{{ index .Data.username .Data.password }}`, "index"},
		"an unset variable":    {`{{ mustEnv .Data.password }}`, "mustEnv"},
		"a file":               {`{{ file .Data.password }}`, "file"},
		"a template":           {`{{ executeTemplate .Data.password }}`, "executeTemplate"},
		"a changed copy":       {`{{ $p := .Data.password }}{{ $_ := sprig_unset .Data "password" }}{{ sprig_fail $p }}`, ""},
		"a parameter":          {`{{ secret "x" .Data.password }}`, "secret"},
		"a field of nothing":   {`{{ .Data.password.x }}`, "x"},
		"a missing key's keys": {`{{ .Data.none.x }}`, "no entry for key"},
		"a nested template":    {`{{ executeTemplate "t" .Data.password }}`, "line 1: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text := `{{ define "t" }}{{ sprig_fail . }}{{ end }}` + with + "\n" + test.action + "{{ end }}"
			got, err := render(t, Config{Name: "app.ctmpl", Contents: text, ErrOnMissingKey: true, Sandbox: t.TempDir()}, secrets())
			if err == nil {
				t.Fatalf("no error but %q", got.Output)
			}
			if !strings.HasPrefix(err.Error(), "app.ctmpl:3: ") || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%q does not begin with app.ctmpl:3: or does not say %q", err, test.says)
			}
			if strings.Contains(err.Error(), "hunter") {
				t.Errorf("%q holds the password", err)
			}
		})
	}
}

func TestMissingKeyIsAnErrorWhenAskedFor(t *testing.T) {
	for _, text := range []string{`{{ (secret "secret/data/app").Data.none }}`, `{{ toLower (secret "secret/data/app").Data.none }}`} {
		_, err := render(t, Config{Contents: text, ErrOnMissingKey: true}, secrets())
		if err == nil || !strings.Contains(err.Error(), `template:1:`) || !strings.Contains(err.Error(), "error_on_missing_key") {
			t.Errorf("%s: error %v", text, err)
		}
	}
}

func TestTokensOfTheAgentAreNotInTheEnvironment(t *testing.T) {
	for _, call := range []string{`env "VAULT_TOKEN"`, `mustEnv "SECUREVAULT_TOKEN"`, `envOrDefault "VAULT_TOKEN" "x"`} {
		if got, err := render(t, Config{Contents: "{{ " + call + " }}"}, nil); err == nil || strings.Contains(err.Error(), "hvs.x") {
			t.Errorf("%s gave %q, %v", call, got.Output, err)
		}
	}
}

func TestTemplateCannotChangeTheSnapshot(t *testing.T) {
	have := secrets()
	const text = `{{ with secret "secret/data/app" }}{{ $_ := sprig_set .Data.data "user" "evil" }}{{ .Data.data.user }}{{ end }}`
	made, err := New(Config{Contents: text})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if got, err := made.Render(have.lookup); err != nil || string(got.Output) != "evil" {
				t.Errorf("got %q, %v", got.Output, err)
			}
		})
	}
	group.Wait()
	if user := have["secret/data/app"].Data["data"].(map[string]any)["user"]; user != "u" {
		t.Errorf("the snapshot now says %v", user)
	}
}

func TestFilesAreReadInsideTheSandboxOnly(t *testing.T) {
	folder := t.TempDir()
	sandbox := filepath.Join(folder, "in")
	if err := os.Mkdir(sandbox, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(sandbox, "ok"), filepath.Join(folder, "out")} {
		if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../out", filepath.Join(sandbox, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(folder, "out"), MaxFile+1); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		path, sandbox, says string // says is empty when the file is read
	}{
		{filepath.Join(sandbox, "ok"), sandbox, ""},
		{filepath.Join(sandbox, "ok"), "", ""},
		{filepath.Join(folder, "out"), sandbox, "outside of the sandbox"},
		{filepath.Join(sandbox, "..", "out"), sandbox, "outside of the sandbox"},
		{filepath.Join(sandbox, "link"), sandbox, "path escapes"},
		{filepath.Join(sandbox, "none"), sandbox, "no such file"},
		{sandbox, sandbox, "not a regular file"},
		{filepath.Join(folder, "out"), "", "larger than"},
	}
	for _, test := range tests {
		got, err := render(t, Config{Contents: fmt.Sprintf("{{ file %q }}", test.path), Sandbox: test.sandbox}, nil)
		if test.says == "" && (err != nil || string(got.Output) != "text") {
			t.Errorf("%s in %q: %q, %v", test.path, test.sandbox, got.Output, err)
		}
		if test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s in %q: error %v, want %q", test.path, test.sandbox, err, test.says)
		}
	}
}

func TestEvaluationEnds(t *testing.T) {
	long := strings.Repeat("0123456789", 20)
	tests := map[string]struct{ text, says string }{
		"a loop for ever":                            {`{{ range 9223372036854775807 }}{{ end }}`, "turns"},
		"loops within loops":                         {`{{ range loop 100000 }}{{ range loop 100000 }}{{ end }}{{ end }}`, "turns"},
		"a loop beside the library":                  {`{{ toLower "x" }}{{ range 9223372036854775807 }}{{ end }}`, "turns"},
		"a loop that is too long":                    {`{{ range loop 9223372036854775807 }}{{ end }}`, "loop makes at most"},
		"a template that calls itself":               {`{{ define "t" }}{{ template "t" }}{{ end }}{{ template "t" }}`, "call each other too deep"},
		"the whole that calls itself":                {`{{ template "" }}`, "call each other too deep"},
		"a template that executes itself":            {`{{ define "t" }}{{ executeTemplate "t" }}{{ end }}{{ executeTemplate "t" }}`, "call each other too deep"},
		"the whole that executes itself":             {`{{ executeTemplate "" }}`, "call each other too deep"},
		"templates that double":                      {`{{ define "t" }}{{ template "t" }}{{ template "t" }}{{ end }}{{ template "t" }}`, "call each other too deep"},
		"an output that is too large":                {`{{ range loop 100000 }}` + long + `{{ end }}`, "output is larger"},
		"an output of the library that is too large": {`{{ toLower "X" }}{{ range loop 100000 }}` + long + `{{ end }}`, "output is larger"},
		"a variable that doubles":                    {`{{ $s := "0123456789" }}{{ range loop 60 }}{{ $s = print $s $s }}{{ end }}`, "output is larger"},
		"a template's output that is too large":      {`{{ define "t" }}{{ range loop 100000 }}` + long + `{{ end }}{{ end }}{{ executeTemplate "t" | len }}`, "output is larger"},
		"a text repeated for ever":                   {`{{ sprig_repeat 9223372036854775807 "0123456789" }}`, "output is larger"},
		"an indent without end":                      {`{{ indent 9223372036854775807 "x" }}`, "output is larger"},
		"an indent of sprig's without end":           {`{{ sprig_nindent 9223372036854775807 "x" }}`, "output is larger"},
		"numbers without end":                        {`{{ range sprig_until 9223372036854775807 }}{{ end }}`, "a list holds at most"},
		"numbers without end in steps":               {`{{ range sprig_untilStep -9223372036854775807 9223372036854775807 1000 }}{{ end }}`, "a list holds at most"},
		"numbers without end as a text":              {`{{ sprig_seq 1 9223372036854775807 }}`, "a list holds at most"},
		"files that are too large":                   {`{{ range $i, $n := loop 100000 }}{{ writeToFile (printf "/x/%d" $i) "" "" "0600" "` + long + `" }}{{ end }}`, "output is larger"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := render(t, Config{Contents: test.text}, nil)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %.300v, want %q", err, test.says)
			}
			if err != nil && len(err.Error()) > 2000 {
				t.Errorf("an error of %d characters", len(err.Error()))
			}
		})
	}
}

func TestPanicOfTheCallerIsAnError(t *testing.T) {
	made, err := New(Config{Name: "t", Contents: `{{ secret (env "REGION") }}`, LookupEnv: env})
	if err != nil {
		t.Fatal(err)
	}
	_, err = made.Render(func(vault.Want) (*vault.Secret, bool) { panic("broken") })
	if err == nil || !strings.HasPrefix(err.Error(), "t:1: ") {
		t.Errorf("error %v", err)
	}
}

func TestNameIsTheSourceWhenThereIsOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.ctmpl")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	made, err := New(Config{Name: "t", Source: path})
	if err != nil || made.Name() != path {
		t.Fatalf("%v, %v", made, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got, err := made.Render(store{}.lookup); err != nil || string(got.Output) != "x" || !slices.Equal(got.Wants, nil) {
		t.Errorf("after the source is gone: %q, %v", got.Output, err)
	}
}
