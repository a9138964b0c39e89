package aws

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/tokenutil"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/record"
	"github.com/novatech/securevault/server/core/endpoint"
)

// role says which principals get which tokens.
type role struct {
	tokenutil.TokenParams
	ID         string   `json:"role_id"` // made up with the role
	Principals []string `json:"bound_iam_principal_arn"`
}

// ofInstances are fields of the type ec2. They narrow a role, so that it would
// be wrong to pass over them in silence.
func ofInstances() []string {
	return []string{
		"bound_account_id", "bound_ami_id", "bound_ec2_instance_id", "bound_iam_instance_profile_arn", "bound_iam_role_arn",
		"bound_region", "bound_subnet_id", "bound_vpc_id", "inferred_aws_region", "inferred_entity_type", "role_tag",
	}
}

func newRoles() *record.Family[role, *role] {
	fields := endpoint.Fields{
		"auth_type":               endpoint.Text("iam, the only type there is."),
		"bound_iam_principal_arn": {Type: framework.TypeCommaStringSlice, Description: "ARNs of users and roles; * at the end stands for anything."},
		"resolve_aws_unique_ids":  endpoint.Flag("Not supported: principals are known by their ARN."),
	}
	for _, field := range ofInstances() {
		fields[field] = endpoint.Text("Of the type ec2, which is not supported.")
	}
	tokenutil.AddTokenFields(fields)
	return &record.Family[role, *role]{
		Folder: "role", Plural: "roles", Name: "role", Pattern: framework.GenericNameRegex("role"),
		Synopsis: "Reads, writes or deletes a role.", Fields: fields,
	}
}

// Apply implements record.Record.
func (r *role) Apply(req *logical.Request, d *framework.FieldData) error {
	if err := r.ParseTokenFields(req, d); err != nil {
		return err
	}
	if r.ID == "" {
		var err error
		if r.ID, err = uuid.GenerateUUID(); err != nil {
			return fmt.Errorf("making a role_id: %w", err)
		}
	}
	if kind := d.Get("auth_type").(string); kind != "" && kind != "iam" {
		return fmt.Errorf("auth_type %q is not supported; use iam, with the role of the instance's profile", kind)
	}
	if d.Get("resolve_aws_unique_ids").(bool) {
		return errors.New("resolve_aws_unique_ids is not supported: send false; principals are known by their ARN")
	}
	for _, field := range slices.Sorted(maps.Keys(d.Raw)) {
		if slices.Contains(ofInstances(), field) {
			return fmt.Errorf("%s belongs to the type ec2, which is not supported; use bound_iam_principal_arn", field)
		}
	}
	if bound, ok := d.GetOk("bound_iam_principal_arn"); ok {
		r.Principals = bound.([]string)
	}
	if len(r.Principals) == 0 {
		return errors.New("missing bound_iam_principal_arn: say which users and roles may log in")
	}
	for _, bound := range r.Principals {
		if err := checkBound(bound); err != nil {
			return err
		}
	}
	return nil
}

// Describe implements record.Record.
func (r *role) Describe() map[string]any {
	data := map[string]any{
		"auth_type":               "iam",
		"role_id":                 r.ID,
		"bound_iam_principal_arn": r.Principals,
		"resolve_aws_unique_ids":  false,
	}
	r.PopulateTokenData(data)
	return data
}

// admits reports whether a principal may log in by the role.
func (r *role) admits(p principal) bool { return slices.ContainsFunc(r.Principals, p.within) }

// roleName is the role that a login names, or else that of the principal.
func roleName(d *framework.FieldData, p principal) string {
	if name := d.Get("role").(string); name != "" {
		return name
	}
	return strings.ToLower(p.Name)
}
