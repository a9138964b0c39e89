package cli

import (
	"strings"
	"testing"
)

const (
	initAnswer     = `{"keys":["0a","0b"],"keys_base64":["Cg==","Cw=="],"root_token":"hvs.root"}`
	recoveryAnswer = `{"keys":[],"keys_base64":[],"recovery_keys":["0c"],"recovery_keys_base64":["DA=="],"root_token":"hvs.root"}`
	sealedAnswer   = `{"type":"shamir","initialized":true,"sealed":true,"t":2,"n":3,"progress":1,"nonce":"abc"}`
	keyStatus      = `{"data":{"term":2,"install_time":"2026-11-23T10:00:00Z","encryptions":7}}`
)

// TestOperatorsSendTheRequestsOfTheAPI pins what is sent, with which token, and
// what a human reads.
func TestOperatorsSendTheRequestsOfTheAPI(t *testing.T) {
	const rekeyInit, rootAttempt = "/v1/sys/rekey/init", "/v1/sys/generate-root/attempt"
	tests := []struct {
		name    string
		args    []string
		stdin   string
		replies map[string]reply
		last    string // request
		body    string
		token   string
		out     []string // parts of standard output
	}{
		{"init by default", []string{"init"}, "", map[string]reply{"PUT /v1/sys/init": {body: initAnswer}},
			"PUT /v1/sys/init", `{"recovery_shares":5,"recovery_threshold":3,"secret_shares":5,"secret_threshold":3}`, "",
			[]string{"Unseal Key 1: Cg==\nUnseal Key 2: Cw==\n\nInitial Root Token: hvs.root\n", "2 key shares, of which 3 unseal it, now and after every\nstart: run securevault operator unseal."}},
		{"init with shares", []string{"init", "-key-shares=2", "-key-threshold=2", "-recovery-shares=1", "-recovery-threshold=1"}, "",
			map[string]reply{"PUT /v1/sys/init": {body: recoveryAnswer}},
			"PUT /v1/sys/init", `{"recovery_shares":1,"recovery_threshold":1,"secret_shares":2,"secret_threshold":2}`, "",
			[]string{"Recovery Key 1: DA==\n\nInitial Root Token: hvs.root\n", "It unseals itself"}},
		{"init -status of an initialized server", []string{"init", "-status"}, "", map[string]reply{"GET /v1/sys/init": {body: `{"initialized":true}`}},
			"GET /v1/sys/init", "", "", []string{"The server is initialized\n"}},
		{"unseal from standard input", []string{"unseal", "-"}, "Cg==\n", map[string]reply{"PUT /v1/sys/unseal": {body: sealedAnswer}},
			"PUT /v1/sys/unseal", `{"key":"Cg=="}`, "", []string{"Sealed             true\n", "Unseal Progress    1\n"}},
		{"unseal with an argument", []string{"unseal", "Cg=="}, "", map[string]reply{"PUT /v1/sys/unseal": {body: `{"sealed":false}`}},
			"PUT /v1/sys/unseal", `{"key":"Cg=="}`, "", []string{"Sealed    false\n"}},
		{"unseal -reset", []string{"unseal", "-reset"}, "", map[string]reply{"PUT /v1/sys/unseal": {body: sealedAnswer}},
			"PUT /v1/sys/unseal", `{"reset":true}`, "", []string{"Sealed "}},
		{"seal", []string{"seal"}, "", map[string]reply{"PUT /v1/sys/seal": {}},
			"PUT /v1/sys/seal", "", "root", []string{"Success! The server is sealed.\n"}},
		{"status", []string{"status"}, "", map[string]reply{"GET /v1/sys/seal-status": {body: `{"sealed":false}`}},
			"GET /v1/sys/seal-status", "", "", []string{"Sealed    false\n"}},
		{"rotate", []string{"rotate"}, "", map[string]reply{"PUT /v1/sys/rotate": {}, "GET /v1/sys/key-status": {body: keyStatus}},
			"GET /v1/sys/key-status", "", "root", []string{"Success! Rotated key\n", "Key Term            2\n"}},
		{"key-status", []string{"key-status"}, "", map[string]reply{"GET /v1/sys/key-status": {body: keyStatus}},
			"GET /v1/sys/key-status", "", "root", []string{"Install Time        2026-11-23T10:00:00Z\nEncryption Count    7\n"}},
		{"rekey -init", []string{"rekey", "-init", "-key-shares=1", "-key-threshold=1"}, "",
			map[string]reply{"PUT " + rekeyInit: {body: `{"nonce":"abc","started":true,"t":1,"n":1,"progress":0,"required":2}`}},
			"PUT " + rekeyInit, `{"secret_shares":1,"secret_threshold":1}`, "", []string{"Nonce              abc\n", "Shares Required    2\n"}},
		{"rekey asks for the nonce", []string{"rekey", "-"}, "Cg==",
			map[string]reply{"GET " + rekeyInit: {body: `{"nonce":"abc"}`}, "PUT /v1/sys/rekey/update": {body: `{"nonce":"abc","started":true,"progress":1,"required":2}`}},
			"PUT /v1/sys/rekey/update", `{"key":"Cg==","nonce":"abc"}`, "", []string{"Rekey Progress     1\n"}},
		{"rekey with the last share", []string{"rekey", "-nonce=abc", "-"}, "Cg==",
			map[string]reply{"PUT /v1/sys/rekey/update": {body: `{"complete":true,"keys":["0d"],"keys_base64":["DQ=="]}`}},
			"PUT /v1/sys/rekey/update", `{"key":"Cg==","nonce":"abc"}`, "", []string{"Key 1: DQ==\n", "nothing from now on"}},
		{"rekey of the recovery key", []string{"rekey", "-target=recovery", "-status"}, "",
			map[string]reply{"GET /v1/sys/rekey-recovery-key/init": {body: `{"nonce":"","started":false,"required":3}`}},
			"GET /v1/sys/rekey-recovery-key/init", "", "", []string{"Started            false\n"}},
		{"rekey -init -verify", []string{"rekey", "-init", "-verify", "-key-shares=1", "-key-threshold=1"}, "",
			map[string]reply{"PUT " + rekeyInit: {body: `{"nonce":"abc","started":true,"verification_required":true}`}},
			"PUT " + rekeyInit, `{"require_verification":true,"secret_shares":1,"secret_threshold":1}`, "", []string{"Nonce      abc\n"}},
		{"rekey with the last share of one to be verified", []string{"rekey", "-nonce=abc", "-"}, "Cg==",
			map[string]reply{"PUT /v1/sys/rekey/update": {body: `{"complete":true,"keys_base64":["DQ=="],"verification_required":true}`}},
			"PUT /v1/sys/rekey/update", `{"key":"Cg==","nonce":"abc"}`, "", []string{"Key 1: DQ==\n", "securevault operator rekey -verify"}},
		{"rekey -verify", []string{"rekey", "-verify", "-"}, "DQ==",
			map[string]reply{"GET /v1/sys/rekey/verify": {body: `{"nonce":"def"}`}, "PUT /v1/sys/rekey/verify": {body: `{"nonce":"def","started":true,"progress":1}`}},
			"PUT /v1/sys/rekey/verify", `{"key":"DQ==","nonce":"def"}`, "", []string{"Verification Progress    1\n"}},
		{"rekey -verify with the last share", []string{"rekey", "-verify", "-nonce=def", "-"}, "DQ==",
			map[string]reply{"PUT /v1/sys/rekey/verify": {body: `{"nonce":"def","complete":true}`}},
			"PUT /v1/sys/rekey/verify", `{"key":"DQ==","nonce":"def"}`, "", []string{"The new shares are verified"}},
		{"rekey -verify -status", []string{"rekey", "-verify", "-status"}, "", map[string]reply{"GET /v1/sys/rekey/verify": {body: `{"nonce":"def","started":true}`}},
			"GET /v1/sys/rekey/verify", "", "", []string{"Started    true\n"}},
		{"rekey -verify -cancel", []string{"rekey", "-verify", "-cancel"}, "", map[string]reply{"DELETE /v1/sys/rekey/verify": {}},
			"DELETE /v1/sys/rekey/verify", "", "", []string{"Canceled verifying the new shares"}},
		{"rekey -cancel", []string{"rekey", "-cancel"}, "", map[string]reply{"DELETE " + rekeyInit: {}},
			"DELETE " + rekeyInit, "", "", []string{"Success! Canceled rekeying (if it was started)\n"}},
		{"generate-root -init", []string{"generate-root", "-init"}, "",
			map[string]reply{"PUT " + rootAttempt: {body: `{"nonce":"abc","started":true,"required":1,"otp":"one-time","otp_length":8,"encoded_token":""}`}},
			"PUT " + rootAttempt, `{}`, "", []string{"OTP                one-time\n"}},
		{"generate-root with the last share", []string{"generate-root", "-nonce=abc", "Cg=="}, "",
			map[string]reply{"PUT /v1/sys/generate-root/update": {body: `{"complete":true,"encoded_token":"BwUG"}`}},
			"PUT /v1/sys/generate-root/update", `{"key":"Cg==","nonce":"abc"}`, "", []string{"Encoded Token    BwUG\n"}},
		{"generate-root -cancel", []string{"generate-root", "-cancel"}, "", map[string]reply{"DELETE " + rootAttempt: {}},
			"DELETE " + rootAttempt, "", "", []string{"Success! Canceled root token generation"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := newFakeServer(t, tt.replies)
			c := at(t, server)
			c.stdin = strings.NewReader(tt.stdin)
			got := c.run(t, append([]string{"operator"}, tt.args...)...)
			if got.code != ExitOK || got.stderr != "" {
				t.Fatalf("exit code %d: %s", got.code, got.stderr)
			}
			mentions(t, got.stdout, tt.out...)
			requests := server.received()
			last := requests[len(requests)-1]
			if last.line != tt.last || last.body != tt.body || last.header.Get("X-Vault-Token") != tt.token {
				t.Errorf("sent %s %s with the token %q", last.line, last.body, last.header.Get("X-Vault-Token"))
			}
		})
	}
}

func TestInitPrintsJSONInTheNamesThatScriptsRead(t *testing.T) {
	server := newFakeServer(t, map[string]reply{"PUT /v1/sys/init": {body: initAnswer}})
	at(t, server).run(t, "operator", "init", "-key-shares=2", "-key-threshold=2", "-format=json").want(t, ExitOK, `{
  "unseal_keys_b64": [
    "Cg==",
    "Cw=="
  ],
  "unseal_keys_hex": [
    "0a",
    "0b"
  ],
  "unseal_shares": 2,
  "unseal_threshold": 2,
  "recovery_keys_b64": [],
  "recovery_keys_hex": [],
  "recovery_keys_shares": 0,
  "recovery_keys_threshold": 0,
  "root_token": "hvs.root"
}
`, "")
}

func TestInitStatusIsAnExitCode(t *testing.T) {
	server := newFakeServer(t, map[string]reply{"GET /v1/sys/init": {body: `{"initialized":false}`}})
	at(t, server).run(t, "operator", "init", "-status").want(t, ExitServer, "",
		"Error: the server is not initialized\nHint: run securevault operator init\n")
	gone := at(t, server)
	gone.env["VAULT_ADDR"] = "http://127.0.0.1:1"
	if got := gone.run(t, "operator", "init", "-status"); got.code != ExitLocal {
		t.Errorf("an unreachable server: exit code %d", got.code)
	}
}

func TestTheRootTokenIsDecodedWithoutAServer(t *testing.T) {
	c := terminal{stdin: strings.NewReader("one-time\n")}
	const encoded = "BxgWAwYGAhE" // "hvs.root" and "one-time", exclusive or
	c.run(t, "operator", "generate-root", "-decode="+encoded, "-otp=-").want(t, ExitOK, "hvs.root\n", "")
	c.run(t, "operator", "generate-root", "-format=json", "-decode="+encoded, "-otp=one-time").want(t, ExitOK, "{\n  \"token\": \"hvs.root\"\n}\n", "")
	got := c.run(t, "operator", "generate-root", "-decode="+encoded, "-otp=another password")
	if got.code != ExitLocal || strings.Contains(got.stderr, "another password") {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
	mentions(t, got.stderr, "the encoded token does not fit the OTP", "of the same -init")
}

func TestMistakesAboutKeysAreRefusedWithoutRepeatingThem(t *testing.T) {
	server := newFakeServer(t, map[string]reply{
		"GET /v1/sys/rekey/init": {body: `{"nonce":"","started":false}`},
		"PUT /v1/sys/unseal":     {status: 400, body: `{"errors":["invalid request: the key shares do not fit"]}`},
	})
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"a wrong share", []string{"unseal", "c2VjcmV0"}, ExitServer, "the key shares do not fit"},
		{"an empty share", []string{"unseal", "-"}, ExitLocal, "the key is empty"},
		{"no terminal", []string{"unseal"}, ExitLocal, "pass - to read it from standard input"},
		{"nothing to approve", []string{"rekey", "c2VjcmV0"}, ExitLocal, "start it with -init"},
		{"a share with -init", []string{"rekey", "-init", "c2VjcmV0"}, ExitLocal, "several things at once"},
		{"two wishes", []string{"generate-root", "-init", "-cancel"}, ExitLocal, "use one of -init, -status, -cancel or KEY"},
		{"half a decoding", []string{"generate-root", "-otp=c2VjcmV0"}, ExitLocal, "pass -decode and -otp together"},
		{"an unknown target", []string{"rekey", "-target=root", "-init"}, ExitLocal, "use barrier or recovery"},
		{"too many arguments", []string{"unseal", "c2VjcmV0", "c2VjcmV0"}, ExitLocal, "takes 0 to 1 argument"},
		{"no number", []string{"init", "-key-shares=-1"}, ExitLocal, "-key-shares"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := at(t, server).run(t, append([]string{"operator"}, tt.args...)...)
			if got.code != tt.code || got.stdout != "" || strings.Contains(got.stderr, "c2VjcmV0") {
				t.Errorf("exit code %d, want %d; %s%s", got.code, tt.code, got.stdout, got.stderr)
			}
			mentions(t, got.stderr, tt.want, "Hint: ")
		})
	}
}
