package cli

import (
	"strings"
	"testing"
)

const credential = `{"request_id":"r1","lease_id":"database/creds/app-readonly/abc123","renewable":true,"lease_duration":3600,` +
	`"data":{"username":"v-app-readonly-xyz789","password":"A1b2C3d4E5f6G7h8"},"wrap_info":null,"warnings":null,"auth":null,"mount_type":"database"}`

const credentialTable = `Key                Value
---                -----
lease_id           database/creds/app-readonly/abc123
lease_duration     1h
lease_renewable    true
password           A1b2C3d4E5f6G7h8
username           v-app-readonly-xyz789
`

const credentialJSON = `{
  "request_id": "r1",
  "lease_id": "database/creds/app-readonly/abc123",
  "renewable": true,
  "lease_duration": 3600,
  "data": {
    "username": "v-app-readonly-xyz789",
    "password": "A1b2C3d4E5f6G7h8"
  },
  "wrap_info": null,
  "warnings": null,
  "auth": null,
  "mount_type": "database"
}
`

const credentialYAML = `auth: null
data:
  password: A1b2C3d4E5f6G7h8
  username: v-app-readonly-xyz789
lease_duration: 3600
lease_id: database/creds/app-readonly/abc123
mount_type: database
renewable: true
request_id: r1
warnings: null
wrap_info: null
`

const newToken = `{"data":null,"lease_id":"","auth":{"client_token":"hvs.x","accessor":"acc","policies":["default","app"],` +
	`"token_policies":["default","app"],"metadata":{"role":"ci"},"lease_duration":9000,"renewable":true}}`

const twoMounts = `{"data":{"sys/":{"type":"system","accessor":"system_1","description":"the system","uuid":"u1","config":{"default_lease_ttl":0,"max_lease_ttl":0}},` +
	`"database/":{"type":"database","accessor":"database_2","description":"","local":true,"uuid":"u2","config":{"default_lease_ttl":3600,"max_lease_ttl":86400}}}}`

func TestAnswersArePrintedInTheFormatAskedFor(t *testing.T) {
	tests := []struct {
		name string
		args []string
		line string
		body string
		out  string
	}{
		{"a credential as the guide shows it", []string{"read", "database/creds/app-readonly"},
			"GET /v1/database/creds/app-readonly", credential, credentialTable},
		{"json is the envelope as sent", []string{"read", "-format=json", "database/creds/app-readonly"},
			"GET /v1/database/creds/app-readonly", credential, credentialJSON},
		{"yaml keeps numbers numbers", []string{"read", "-format=yaml", "database/creds/app-readonly"},
			"GET /v1/database/creds/app-readonly", credential, credentialYAML},
		{"a field is bare", []string{"read", "-field=password", "database/creds/app-readonly"},
			"GET /v1/database/creds/app-readonly", credential, "A1b2C3d4E5f6G7h8"},
		{"a duration as a field is a number of seconds", []string{"read", "-field=lease_duration", "database/creds/app-readonly"},
			"GET /v1/database/creds/app-readonly", credential, "3600"},
		{"a field as json is quoted", []string{"read", "-field=password", "-format=json", "database/creds/app-readonly"},
			"GET /v1/database/creds/app-readonly", credential, "\"A1b2C3d4E5f6G7h8\"\n"},
		{"fields of the request go into the query", []string{"read", "pki/x", "b=2", "a=1", "a=3"},
			"GET /v1/pki/x?a=1&a=3&b=2", `{"data":{"ok":true}}`, "Key    Value\n---    -----\nok     true\n"},
		{"values that are not text are json, durations are short", []string{"read", "database/roles/r"},
			"GET /v1/database/roles/r", `{"data":{"default_ttl":3600,"max_ttl":9000,"statements":["a","b"],"empty":null,"n":12345678901234567890,"ttl":"2h"}}`,
			"Key            Value\n---            -----\ndefault_ttl    1h\nempty          n/a\nmax_ttl        2h30m\n" +
				"n              12345678901234567890\nstatements     [\"a\",\"b\"]\nttl            2h\n"},
		{"a value of several lines does not break the columns", []string{"read", "pki/cert"},
			"GET /v1/pki/cert", `{"data":{"certificate":"line 1\nline 2","id":"x"}}`,
			"Key            Value\n---            -----\ncertificate    line 1\nline 2\nid             x\n"},
		{"a static secret has a refresh interval", []string{"read", "kv/x"},
			"GET /v1/kv/x", `{"lease_duration":2764800,"data":{"a":"b"}}`,
			"Key                 Value\n---                 -----\nrefresh_interval    768h\na                   b\n"},
		{"a write that answers shows the answer", []string{"write", "ssh/sign/r", "public_key=k"},
			"PUT /v1/ssh/sign/r", `{"data":{"signed_key":"s"}}`, "Key           Value\n---           -----\nsigned_key    s\n"},
		{"a token", []string{"token", "create"}, "PUT /v1/auth/token/create", newToken,
			"Key                  Value\n---                  -----\ntoken                hvs.x\ntoken_accessor       acc\ntoken_duration       2h30m\n" +
				"token_renewable      true\ntoken_policies       [\"default\",\"app\"]\nidentity_policies    []\npolicies             [\"default\",\"app\"]\ntoken_meta_role      ci\n"},
		{"a token by its field", []string{"token", "create", "-field=token"}, "PUT /v1/auth/token/create", newToken, "hvs.x"},
		{"a wrapped answer", []string{"write", "-wrap-ttl=60s", "-force", "auth/approle/role/r/secret-id"}, "PUT /v1/auth/approle/role/r/secret-id",
			`{"wrap_info":{"token":"hvs.w","accessor":"a","ttl":60,"creation_time":"2026-01-02T03:04:05Z","creation_path":"p"}}`,
			"Key                             Value\n---                             -----\nwrapping_token                  hvs.w\nwrapping_accessor               a\n" +
				"wrapping_token_ttl              1m\nwrapping_token_creation_time    2026-01-02T03:04:05Z\nwrapping_token_creation_path    p\n"},
		{"a lease", []string{"lease", "lookup", "l"}, "PUT /v1/sys/leases/lookup", `{"data":{"id":"l","ttl":45,"renewable":true}}`,
			"Key          Value\n---          -----\nid           l\nrenewable    true\nttl          45s\n"},
		{"a renewed lease", []string{"lease", "renew", "l"}, "PUT /v1/sys/leases/renew", `{"lease_id":"l","renewable":true,"lease_duration":7200,"data":null}`,
			"Key                Value\n---                -----\nlease_id           l\nlease_duration     2h\nlease_renewable    true\n"},
		{"the token in use", []string{"token", "lookup"}, "GET /v1/auth/token/lookup-self", `{"data":{"id":"root","ttl":0}}`,
			"Key    Value\n---    -----\nid     root\nttl    0s\n"},
		{"capabilities are sorted", []string{"token", "capabilities", "kv/x"}, "PUT /v1/sys/capabilities-self", `{"data":{"kv/x":["update","read"]}}`, "read, update\n"},
		{"capabilities of another token", []string{"token", "capabilities", "-format=json", "t", "kv/x"}, "PUT /v1/sys/capabilities", `{"data":{"kv/x":["read"]}}`, "[\n  \"read\"\n]\n"},
		{"names", []string{"list", "database/roles/"}, "GET /v1/database/roles?list=true", `{"data":{"keys":["a","b/"]}}`, "Keys\n----\na\nb/\n"},
		{"names as json", []string{"list", "-format=json", "database/roles"}, "GET /v1/database/roles?list=true", `{"data":{"keys":["a","b/"]}}`, "[\n  \"a\",\n  \"b/\"\n]\n"},
		{"mounts", []string{"secrets", "list"}, "GET /v1/sys/mounts", twoMounts,
			"Path         Type        Accessor      Description\n----         ----        --------      -----------\ndatabase/    database    database_2    n/a\nsys/         system      system_1      the system\n"},
		{"mounts in detail", []string{"secrets", "list", "-detailed"}, "GET /v1/sys/mounts", twoMounts,
			"Path         Type        Accessor      Default TTL    Max TTL    Local    UUID    Description\n" +
				"----         ----        --------      -----------    -------    -----    ----    -----------\n" +
				"database/    database    database_2    1h             24h        true     u2      n/a\n" +
				"sys/         system      system_1      system         system     false    u1      the system\n"},
		{"auth methods as json are the map of paths", []string{"auth", "list", "-format=json"}, "GET /v1/sys/auth", `{"request_id":"r","data":{"token/":{"type":"token"}}}`,
			"{\n  \"token/\": {\n    \"type\": \"token\"\n  }\n}\n"},
		{"a policy is its text", []string{"policy", "read", "p"}, "GET /v1/sys/policies/acl/p", `{"data":{"name":"p","policy":"path \"x\" {}\n"}}`, "path \"x\" {}\n"},
		{"policies are lines", []string{"policy", "list"}, "GET /v1/sys/policies/acl?list=true", `{"data":{"keys":["default","root"]}}`, "default\nroot\n"},
		{"an unsealed server", []string{"status"}, "GET /v1/sys/seal-status",
			`{"type":"shamir","initialized":true,"sealed":false,"t":1,"n":1,"version":"1.0.0","unknown":"x"}`,
			"Key             Value\n---             -----\nSeal Type       shamir\nInitialized     true\nSealed          false\nTotal Shares    1\nThreshold       1\nVersion         1.0.0\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := newFakeServer(t, map[string]reply{tt.line: {body: tt.body}})
			at(t, server).run(t, tt.args...).want(t, ExitOK, tt.out, "")
		})
	}
}

func TestTheFormatComesFromTheEnvironmentUnlessTheFlagSaysOtherwise(t *testing.T) {
	server := newFakeServer(t, map[string]reply{"GET /v1/database/creds/r": {body: credential}})
	c := at(t, server)
	c.env["VAULT_FORMAT"] = "json"
	c.run(t, "read", "database/creds/r").want(t, ExitOK, credentialJSON, "")
	c.env["SECUREVAULT_FORMAT"] = "YAML"
	c.run(t, "read", "database/creds/r").want(t, ExitOK, credentialYAML, "")
	c.run(t, "read", "-format=table", "database/creds/r").want(t, ExitOK, credentialTable, "")
}

func TestWarningsGoToStandardError(t *testing.T) {
	server := newFakeServer(t, map[string]reply{"PUT /v1/kv/x": {body: `{"warnings":["ttl is capped"]}`}})
	at(t, server).run(t, "write", "kv/x", "a=b").want(t, ExitOK, "Success! Data written to: kv/x\n", "Warning: ttl is capped\n")
}

func TestAMissingFieldNamesTheOthersAndTheLeaseButNoValue(t *testing.T) {
	server := newFakeServer(t, map[string]reply{"GET /v1/database/creds/r": {body: credential}})
	at(t, server).run(t, "read", "-field=pasword", "database/creds/r").want(t, ExitLocal, "",
		"Error: the answer has no field \"pasword\"\n"+
			"Hint: there are: lease_id, lease_duration, lease_renewable, password, username; the answer's lease is \"database/creds/app-readonly/abc123\"\n")
}

func TestASealedServerIsExitCodeTwo(t *testing.T) {
	server := newFakeServer(t, map[string]reply{"GET /v1/sys/seal-status": {body: `{"sealed":true}`}})
	got := at(t, server).run(t, "status")
	got.want(t, ExitServer, "Key       Value\n---       -----\nSealed    true\n", "Error: the server is sealed\nHint: unseal it before use: operator unseal\n")
	if token := server.received()[0].header.Get("X-Vault-Token"); token != "" {
		t.Errorf("status sent the token %q", token)
	}
}

func TestSecondsAreShortenedToWhatPeopleSay(t *testing.T) {
	for n, want := range map[seconds]string{0: "0s", 45: "45s", 60: "1m", 90: "1m30s", 3600: "1h", 9000: "2h30m", 3601: "1h0m1s", 36000: "10h", 600: "10m", -1: "-1s"} {
		if got := n.String(); got != want {
			t.Errorf("%d seconds are %q, want %q", int64(n), got, want)
		}
	}
}

// FuzzAnswer feeds hostile answers to every format: they may be refused but
// must neither panic nor print to the wrong stream.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{credential, newToken, twoMounts, `{}`, `null`, `[]`, `{"data":[1]}`, `{"errors":["x"]}`, `{"a":{"b":1e999}}`, `{"data":{"keys":[1,null]}}`, "{"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		answer, err := decode("GET /v1/x", raw)
		if err != nil {
			return
		}
		for _, format := range []string{formatTable, formatJSON, formatYAML} {
			var stdout, stderr strings.Builder
			o := output{stdout: &stdout, stderr: &stderr, format: format}
			if err := o.answer(answer); err == nil && answer.secret != nil && stdout.Len() == 0 {
				t.Errorf("%s of %q printed nothing", format, raw)
			}
			_, _ = keysOf(answer)
			_ = o.sealStatus(answer)
		}
	})
}
