package aws_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/novatech/securevault/server/core/coretest"
)

const identityPath = "auth/aws/config/identity"

func TestTheIdentityOfAClientIsChosen(t *testing.T) {
	s := newSTS(t)
	server := start(t, s, nil)
	mounted := server.Must(t, coretest.Root, read, "sys/auth", nil).Data["aws/"].(map[string]any)
	server.Must(t, coretest.Root, update, "sys/policies/acl/shop", map[string]any{
		"policy": fmt.Sprintf(`path "fake/{{identity.entity.aliases.%s.name}}" { capabilities = ["read"] }`, mounted["accessor"]),
	})
	roleID := server.Must(t, coretest.Root, read, "auth/aws/role/app", nil).Data["role_id"].(string)
	for _, c := range []struct {
		name     string
		written  map[string]any
		alias    string
		metadata string // names, sorted
	}{
		{"by default", nil, roleID, "account_id auth_type"},
		{"the role", map[string]any{"iam_alias": "role_id"}, roleID, "account_id auth_type"},
		{"more of it", map[string]any{"iam_metadata": []string{"client_arn", "canonical_arn"}}, roleID, "canonical_arn client_arn"},
		{"AWS's id, and nothing told", map[string]any{"iam_alias": "unique_id", "iam_metadata": []string{}}, "AROAEXAMPLE", ""},
		{"a part of it", map[string]any{"iam_metadata": "default"}, "AROAEXAMPLE", "account_id auth_type"},
		{"of another type, but as it is", map[string]any{"ec2_alias": "role_id", "ec2_metadata": "default"}, "AROAEXAMPLE", "account_id auth_type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.written != nil {
				server.Must(t, coretest.Root, update, identityPath, c.written)
			}
			got, refusal := login(t, server, s.signed(t, s.own(session), nil, nil))
			if refusal != "" {
				t.Fatal(refusal)
			}
			told := maps.Clone(got.Metadata)
			if told["role"] != "app" || told["role_id"] != roleID {
				t.Errorf("metadata %v", told)
			}
			delete(told, "role")
			delete(told, "role_id")
			if names := strings.Join(slices.Sorted(maps.Keys(told)), " "); names != c.metadata {
				t.Errorf("told %q, want %q", names, c.metadata)
			}
			may := server.Must(t, got.ClientToken, update, "sys/capabilities-self", map[string]any{"paths": "fake/" + c.alias})
			if fmt.Sprint(may.Data["capabilities"]) != "[read]" {
				t.Errorf("it is not called %q: %v", c.alias, may.Data)
			}
		})
	}
}

func TestAnIdentityIsReadAsItIs(t *testing.T) {
	server := start(t, newSTS(t), nil)
	want := func(alias, metadata string) {
		t.Helper()
		data := server.Must(t, coretest.Root, read, identityPath, nil).Data
		if data["iam_alias"] != alias || fmt.Sprint(data["iam_metadata"]) != metadata || data["ec2_alias"] != "role_id" {
			t.Errorf("%v", data)
		}
	}
	want("role_id", "[account_id auth_type]")
	server.Must(t, coretest.Root, update, identityPath, map[string]any{"iam_alias": "full_arn", "iam_metadata": []string{"client_arn"}})
	want("full_arn", "[client_arn]")
	for body, refusal := range map[string]string{
		"iam_alias=user":            "use role_id, unique_id, canonical_arn or full_arn",
		"iam_metadata=secret":       "use default alone, or some of account_id, auth_type",
		"iam_metadata=default,auth": "use default alone",
		"ec2_alias=instance_id":     "belongs to the type ec2",
		"ec2_metadata=ami_id":       "belongs to the type ec2",
	} {
		name, value, _ := strings.Cut(body, "=")
		resp, err := server.Do(t, coretest.Root, update, identityPath, map[string]any{name: value})
		if err == nil {
			err = resp.Error()
		}
		if err == nil || !strings.Contains(err.Error(), refusal) {
			t.Errorf("%s: %v; want %q", body, err, refusal)
		}
	}
	want("full_arn", "[client_arn]")
}
