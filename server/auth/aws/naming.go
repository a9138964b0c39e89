package aws

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/record"
	"github.com/novatech/securevault/server/core/endpoint"
)

// defaultAlias names a client after the role that it logs in by.
const defaultAlias = "role_id"

// naming says what a client is called in policies, and what is told of it.
type naming struct {
	Alias    string   `json:"iam_alias"`    // empty: defaultAlias
	Metadata []string `json:"iam_metadata"` // nil: defaultMetadata
}

func defaultMetadata() []string { return []string{"account_id", "auth_type"} }

// knownMetadata lists what may be told of a client. The last three are never
// there: they are of the type ec2.
func knownMetadata() []string {
	return append(defaultMetadata(), "canonical_arn", "client_arn", "client_user_id",
		"inferred_aws_region", "inferred_entity_id", "inferred_entity_type")
}

// aliases are the names that a client can have: iam_alias → how it is made.
func aliases() map[string]func(*role, principal) string {
	return map[string]func(*role, principal) string{
		defaultAlias:    func(r *role, _ principal) string { return r.ID },
		"unique_id":     func(_ *role, p principal) string { return uniqueID(p) },
		"canonical_arn": func(_ *role, p principal) string { return p.Canonical },
		"full_arn":      func(_ *role, p principal) string { return p.ARN },
	}
}

// uniqueID is AWS's id of a principal, without the name of its session.
func uniqueID(p principal) string {
	id, _, _ := strings.Cut(p.UserID, ":")
	return id
}

func newNaming() *record.Family[naming, *naming] {
	return &record.Family[naming, *naming]{
		Folder: "config/identity", Synopsis: "Reads or writes what clients are called, and what is told of them.",
		Always: true,
		Fields: endpoint.Fields{
			"iam_alias":    endpoint.Text("Name of a client in policies: role_id, unique_id, canonical_arn or full_arn."),
			"iam_metadata": {Type: framework.TypeCommaStringSlice, Description: "What a token tells of its client; default restores that."},
			"ec2_alias":    endpoint.Text("Of the type ec2, which is not supported."),
			"ec2_metadata": {Type: framework.TypeCommaStringSlice, Description: "Of the type ec2, which is not supported."},
		},
	}
}

// Apply implements record.Record.
func (i *naming) Apply(_ *logical.Request, d *framework.FieldData) error {
	if alias, ok := d.GetOk("ec2_alias"); ok && alias != defaultAlias {
		return fmt.Errorf("ec2_alias %q belongs to the type ec2, which is not supported: leave it out", alias)
	}
	if told, ok := d.GetOk("ec2_metadata"); ok && !isDefault(told.([]string)) {
		return errors.New("ec2_metadata belongs to the type ec2, which is not supported: leave it out")
	}
	if alias, ok := d.GetOk("iam_alias"); ok {
		if aliases()[alias.(string)] == nil {
			return fmt.Errorf("iam_alias %q is unknown; use role_id, unique_id, canonical_arn or full_arn", alias)
		}
		i.Alias = alias.(string)
	}
	told, ok := d.GetOk("iam_metadata")
	if !ok {
		return nil
	}
	return i.tell(told.([]string))
}

func isDefault(told []string) bool {
	return slices.Equal(told, []string{"default"}) || slices.Equal(told, defaultMetadata())
}

// tell sets what is told of a client.
func (i *naming) tell(what []string) error {
	if isDefault(what) {
		i.Metadata = nil
		return nil
	}
	for _, name := range what {
		if !slices.Contains(knownMetadata(), name) {
			return fmt.Errorf("iam_metadata %q is unknown; use default alone, or some of %s", name, strings.Join(knownMetadata(), ", "))
		}
	}
	i.Metadata = append([]string{}, what...)
	return nil
}

// Describe implements record.Record.
func (i *naming) Describe() map[string]any {
	return map[string]any{
		"iam_alias": cmp.Or(i.Alias, defaultAlias), "iam_metadata": i.metadata(),
		"ec2_alias": defaultAlias, "ec2_metadata": defaultMetadata(),
	}
}

func (i *naming) metadata() []string {
	if i.Metadata == nil {
		return defaultMetadata()
	}
	return i.Metadata
}

// name returns what a client is called.
func (i *naming) name(r *role, p principal) string {
	return aliases()[cmp.Or(i.Alias, defaultAlias)](r, p)
}

// describe returns what is told of a client.
func (i *naming) describe(p principal) map[string]string {
	known := map[string]string{
		"auth_type": "iam", "account_id": p.Account, "canonical_arn": p.Canonical, "client_arn": p.ARN, "client_user_id": uniqueID(p),
	}
	maps.DeleteFunc(known, func(name, value string) bool { return value == "" || !slices.Contains(i.metadata(), name) })
	return known
}
