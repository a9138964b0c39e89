package aws

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/record"
	"github.com/novatech/securevault/server/core/endpoint"
)

// client says which security token service is asked, and what the client must
// have signed.
type client struct {
	Endpoint     string   `json:"sts_endpoint"` // empty for AWS's own
	Region       string   `json:"sts_region"`
	ClientRegion bool     `json:"use_sts_region_from_client"`
	ServerID     string   `json:"iam_server_id_header_value"` // empty: not asked for
	Headers      []string `json:"allowed_sts_header_values"`
}

func newClient() *record.Family[client, *client] {
	return &record.Family[client, *client]{
		Folder: "config/client", Synopsis: "Reads, writes or deletes which service is asked.",
		Fields: endpoint.Fields{
			"sts_endpoint":               endpoint.Text("URL of the security token service; AWS's own if empty."),
			"sts_region":                 endpoint.Text("Its region; none for the global one."),
			"use_sts_region_from_client": endpoint.Flag("Ask the service of the region that the client has signed for."),
			"iam_server_id_header_value": endpoint.Text("What clients must sign as X-Vault-AWS-IAM-Server-ID."),
			"allowed_sts_header_values":  {Type: framework.TypeCommaStringSlice, Description: "Headers that clients may send beside the usual ones."},
		},
	}
}

// Apply implements record.Record.
func (c *client) Apply(_ *logical.Request, d *framework.FieldData) error {
	if address, ok := d.GetOk("sts_endpoint"); ok {
		c.Endpoint = address.(string)
	}
	if region, ok := d.GetOk("sts_region"); ok {
		c.Region = region.(string)
	}
	if follow, ok := d.GetOk("use_sts_region_from_client"); ok {
		c.ClientRegion = follow.(bool)
	}
	if id, ok := d.GetOk("iam_server_id_header_value"); ok {
		c.ServerID = id.(string)
	}
	if headers, ok := d.GetOk("allowed_sts_header_values"); ok {
		c.Headers = headers.([]string)
	}
	return c.validate()
}

func (c *client) validate() error {
	if c.Region != "" && !region.MatchString(c.Region) {
		return fmt.Errorf("sts_region: %q is not the name of a region, like eu-central-1", c.Region)
	}
	if c.Endpoint == "" {
		return nil
	}
	address, err := url.Parse(c.Endpoint)
	if err != nil || address.Scheme != "https" && address.Scheme != "http" || address.Host == "" {
		return fmt.Errorf("sts_endpoint: %q is not a URL like https://sts.eu-central-1.amazonaws.com", c.Endpoint)
	}
	if c.ClientRegion {
		return errors.New("sts_endpoint and use_sts_region_from_client exclude each other: set one of them")
	}
	return nil
}

// Describe implements record.Record.
func (c *client) Describe() map[string]any {
	return map[string]any{
		"sts_endpoint":               c.Endpoint,
		"sts_region":                 c.Region,
		"use_sts_region_from_client": c.ClientRegion,
		"iam_server_id_header_value": c.ServerID,
		"allowed_sts_header_values":  c.Headers,
	}
}

var region = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$`)

// address returns the service to ask; signedFor is the client's region.
func (c *client) address(signedFor string) (string, error) {
	where := c.Region
	switch {
	case c.ClientRegion && !region.MatchString(signedFor):
		return "", refusal("the request is signed for %q, which is no region", signedFor)
	case c.ClientRegion:
		where = signedFor
	case c.Endpoint != "":
		return strings.TrimSuffix(c.Endpoint, "/") + "/", nil
	}
	switch {
	case where == "":
		return "https://sts.amazonaws.com/", nil
	case strings.HasPrefix(where, "cn-"):
		return "https://sts." + where + ".amazonaws.com.cn/", nil
	default:
		return "https://sts." + where + ".amazonaws.com/", nil
	}
}
