package aws_test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/aws"
	"github.com/novatech/securevault/server/core/coretest"
)

const (
	read   = logical.ReadOperation
	update = logical.UpdateOperation

	session = "arn:aws:sts::123456789012:assumed-role/app/i-0abc"
	user    = "arn:aws:iam::123456789012:user/team/alice"
)

// start runs a server with the role "app" for the role of AWS of that name.
func start(t *testing.T, s *sts, more map[string]any) *coretest.Server {
	t.Helper()
	server := coretest.Start(t, map[string]logical.Factory{"aws": aws.Factory})
	client := map[string]any{"sts_endpoint": s.URL}
	maps.Copy(client, more)
	server.Must(t, coretest.Root, update, "auth/aws/config/client", client)
	server.Must(t, coretest.Root, update, "auth/aws/role/app", map[string]any{
		"auth_type": "iam", "bound_iam_principal_arn": "arn:aws:iam::123456789012:role/app", "token_policies": "shop", "token_ttl": "10m",
	})
	return server
}

// login returns the token's description, or the refusal.
func login(t *testing.T, s *coretest.Server, request map[string]any) (*logical.Auth, string) {
	t.Helper()
	resp, err := s.Do(t, "", update, "auth/aws/login", request)
	switch {
	case resp.IsError():
		return nil, resp.Error().Error()
	case err != nil:
		return nil, err.Error()
	}
	return resp.Auth, ""
}

func TestASignedQuestionGivesAToken(t *testing.T) {
	s := newSTS(t)
	server := start(t, s, map[string]any{"iam_server_id_header_value": "vault.example.org"})
	got, refusal := login(t, server, s.signed(t, s.own(session), func(r *http.Request) {
		r.Header.Set("X-Vault-AWS-IAM-Server-ID", "vault.example.org")
	}, nil))
	if refusal != "" {
		t.Fatal(refusal)
	}
	if strings.Join(got.Policies, " ") != "default shop" || got.TTL != 10*time.Minute || got.DisplayName != "aws-app" {
		t.Errorf("token %+v", got)
	}
	if m := got.Metadata; m["role"] != "app" || m["auth_type"] != "iam" || m["account_id"] != "123456789012" || m["client_arn"] != "" {
		t.Errorf("metadata %v", m)
	}
}

func TestPrincipalsAreBound(t *testing.T) {
	s := newSTS(t)
	server := start(t, s, nil)
	for _, c := range []struct {
		name, bound, arn string
		admitted         bool
	}{
		{"the role of a session", "arn:aws:iam::123456789012:role/app", session, true},
		{"a role with a path", "arn:aws:iam::123456789012:role/service/app", session, true},
		{"another role", "arn:aws:iam::123456789012:role/app2", session, false},
		{"a user", "arn:aws:iam::123456789012:user/alice", user, true},
		{"a user of a role's name", "arn:aws:iam::123456789012:role/alice", user, false},
		{"another account", "arn:aws:iam::999999999999:role/app", session, false},
		{"roles that begin alike", "arn:aws:iam::123456789012:role/a*", session, true},
		{"roles that begin otherwise", "arn:aws:iam::123456789012:role/b*", session, false},
		{"everybody of the account", "arn:aws:iam::123456789012:*", user, true},
		{"everybody of a path", "arn:aws:iam::123456789012:user/team/*", user, true},
		{"everybody of another account", "arn:aws:iam::999999999999:*", user, false},
		{"one of several", "arn:aws:iam::123456789012:role/x,arn:aws:iam::123456789012:user/alice", user, true},
		{"the owner of the account", "arn:aws:iam::123456789012:*", "arn:aws:iam::123456789012:root", false},
		{"a federated user", "arn:aws:iam::123456789012:*", "arn:aws:sts::123456789012:federated-user/bob", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			server.Must(t, coretest.Root, update, "auth/aws/role/app", map[string]any{"bound_iam_principal_arn": c.bound})
			if got, refusal := login(t, server, s.signed(t, s.own(c.arn), nil, nil)); (got != nil) != c.admitted {
				t.Errorf("token %v, refusal %q", got, refusal)
			}
		})
	}
}

func TestWithoutARoleThePrincipalsNameCounts(t *testing.T) {
	s := newSTS(t)
	server := start(t, s, nil)
	request := s.signed(t, s.own(session), nil, nil)
	delete(request, "role")
	if _, refusal := login(t, server, request); refusal != "" {
		t.Fatal(refusal)
	}
}

func TestAQuestionThatIsNotWhoAmIIsNeverSent(t *testing.T) {
	s := newSTS(t)
	server := start(t, s, map[string]any{"iam_server_id_header_value": "here"})
	mine := s.own(session)
	forUs := func(r *http.Request) { r.Header.Set("X-Vault-AWS-IAM-Server-ID", "here") }
	coded := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	for name, c := range map[string]struct {
		change, late func(*http.Request)
		field, value string
		want         string
	}{
		"another action":         {forUs, nil, "iam_request_body", coded("Action=AssumeRole&Version=2011-06-15"), "must be Action=GetCallerIdentity"},
		"a second action":        {forUs, nil, "iam_request_body", coded(question + "&Action=AssumeRole"), "must be Action=GetCallerIdentity"},
		"more than the question": {forUs, nil, "iam_request_body", coded(question + "&RoleArn=x"), "must be Action=GetCallerIdentity"},
		"a query":                {forUs, nil, "iam_request_url", coded("https://sts.amazonaws.com/?Action=AssumeRole"), "without path and query"},
		"a path":                 {forUs, nil, "iam_request_url", coded("https://sts.amazonaws.com/x"), "without path and query"},
		"GET":                    {forUs, nil, "iam_http_request_method", "GET", "must be POST"},
		"no headers":             {forUs, nil, "iam_request_headers", coded("{}"), "missing iam_request_headers"},
		"a body not in base64":   {forUs, nil, "iam_request_body", "{}", "not base64"},
		"no server id":           {nil, nil, "", "", "not for this server"},
		"another server's id":    {func(r *http.Request) { r.Header.Set("X-Vault-AWS-IAM-Server-ID", "there") }, nil, "", "", "not for this server"},
		"an id that is unsigned": {nil, forUs, "", "", "is not signed"},
		"two ids": {forUs, func(r *http.Request) {
			r.Header["x-vault-aws-iam-server-id"] = []string{"there"}
		}, "", "", "not for this server"},
		"a header of its own": {forUs, func(r *http.Request) { r.Header.Set("X-Forwarded-For", "10.0.0.1") }, "", "", `"X-Forwarded-For" is not allowed`},
		"two signatures":      {forUs, func(r *http.Request) { r.Header.Add("Authorization", "AWS4") }, "", "", "one Authorization"},
		"signed headers twice": {nil, func(r *http.Request) {
			forUs(r)
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "SignedHeaders=", "SignedHeaders=x-vault-aws-iam-server-id, SignedHeaders=", 1))
		}, "", "", "SignedHeaders once"},
		"an instance document": {forUs, nil, "pkcs7", "MIA", "ec2 is not supported"},
	} {
		request := s.signed(t, mine, c.change, c.late)
		if c.field != "" {
			request[c.field] = c.value
		}
		if got, refusal := login(t, server, request); got != nil || !strings.Contains(refusal, c.want) {
			t.Errorf("%s: %v, %q; want %q", name, got, refusal, c.want)
		}
	}
	if s.asked > 0 {
		t.Errorf("the service was asked %d times", s.asked)
	}
}

func TestAWrongSignatureIsRefused(t *testing.T) {
	s := newSTS(t)
	server := start(t, s, nil)
	forged := s.own(session)
	forged.SecretAccessKey = "guess"
	for name, by := range map[string]awssdk.Credentials{
		"a wrong secret":        forged,
		"a key that is unknown": {AccessKeyID: "AKIANOBODY", SecretAccessKey: "x", SessionToken: "session-of-AKIANOBODY"},
	} {
		if got, refusal := login(t, server, s.signed(t, by, nil, nil)); got != nil || !strings.Contains(refusal, "AWS does not accept the signature") {
			t.Errorf("%s: %v, %q", name, got, refusal)
		}
	}
}

func TestAServiceThatAnswersOddlyIsNotBelieved(t *testing.T) {
	s := newSTS(t)
	server := start(t, s, nil)
	request := s.signed(t, s.own(session), nil, nil)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"an error": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, "503"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, "302"},
		"no XML":           {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"Arn":"x"}`)) }, "reading the answer"},
		"another document": {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`<html><Arn>x</Arn></html>`)) }, "reading the answer"},
		"another account":  {func(w http.ResponseWriter, _ *http.Request) { s.tell(w, session, "999999999999") }, "is of account"},
	} {
		s.answer = c.answer
		if got, refusal := login(t, server, request); got != nil || !strings.Contains(refusal, c.want) {
			t.Errorf("%s: %v, %q; want %q", name, got, refusal, c.want)
		}
	}
}

func TestATokenIsRenewedAfterItsRole(t *testing.T) {
	s := newSTS(t)
	server := start(t, s, nil)
	got, _ := login(t, server, s.signed(t, s.own(session), nil, nil))
	renew := map[string]any{"token": got.ClientToken}
	server.Must(t, coretest.Root, update, "auth/aws/role/app", map[string]any{"token_ttl": "30m"})
	if resp := server.Must(t, coretest.Root, update, "auth/token/renew", renew); resp.Auth.TTL != 30*time.Minute {
		t.Fatalf("renewed for %v; want the role's new 30m", resp.Auth.TTL)
	}
	server.Must(t, coretest.Root, update, "auth/aws/role/app", map[string]any{"bound_iam_principal_arn": "arn:aws:iam::123456789012:role/other"})
	if _, err := server.Do(t, coretest.Root, update, "auth/token/renew", renew); err == nil || !strings.Contains(err.Error(), "does not admit") {
		t.Fatalf("renewed although the role no longer admits it: %v", err)
	}
}

func TestConfigurationsThatMakeNoSense(t *testing.T) {
	server := coretest.Start(t, map[string]logical.Factory{"aws": aws.Factory})
	arn := "arn:aws:iam::123456789012:role/app"
	for name, c := range map[string]struct {
		path string
		data map[string]any
		want string
	}{
		"the type ec2":                {"role/r", map[string]any{"auth_type": "ec2", "bound_ami_id": "ami-1"}, `"ec2" is not supported`},
		"a field of that type":        {"role/r", map[string]any{"bound_iam_principal_arn": arn, "bound_vpc_id": "vpc-1"}, "bound_vpc_id belongs to the type ec2"},
		"unique ids":                  {"role/r", map[string]any{"bound_iam_principal_arn": arn, "resolve_aws_unique_ids": true}, "resolve_aws_unique_ids"},
		"nobody":                      {"role/r", nil, "missing bound_iam_principal_arn"},
		"everybody in the world":      {"role/r", map[string]any{"bound_iam_principal_arn": "*"}, "of one account"},
		"everybody of every account":  {"role/r", map[string]any{"bound_iam_principal_arn": "arn:aws:iam::*"}, "of one account"},
		"a star in the middle":        {"role/r", map[string]any{"bound_iam_principal_arn": "arn:aws:iam::123456789012:role/*/x"}, "of one account"},
		"a session":                   {"role/r", map[string]any{"bound_iam_principal_arn": session}, "of one account"},
		"an endpoint that is no URL":  {"config/client", map[string]any{"sts_endpoint": "sts.amazonaws.com"}, "sts_endpoint"},
		"a region that is none":       {"config/client", map[string]any{"sts_region": "evil.example.org/"}, "sts_region"},
		"two places to ask":           {"config/client", map[string]any{"sts_endpoint": "https://x", "use_sts_region_from_client": true}, "exclude each other"},
		"a token longer than allowed": {"role/r", map[string]any{"bound_iam_principal_arn": arn, "token_ttl": "2h", "token_max_ttl": "1h"}, "token_ttl"},
	} {
		resp, err := server.Do(t, coretest.Root, update, "auth/aws/"+c.path, c.data)
		if err == nil {
			err = resp.Error()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
	server.Must(t, coretest.Root, update, "auth/aws/config/client", map[string]any{"sts_region": "cn-north-1"})
	if got := server.Must(t, coretest.Root, read, "auth/aws/config/client", nil).Data["sts_region"]; got != "cn-north-1" {
		t.Errorf("configured %v", got)
	}
}
