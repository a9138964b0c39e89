package elasticstandin

import (
	"path"
	"slices"
)

// superuser is the role that may do everything.
const superuser = "superuser"

// role is what those who have it may do.
type role struct {
	cluster []string
	indices []grant
}

// grant is what may be done to some indices.
type grant struct {
	names      []string // patterns
	privileges []string
}

// descriptor is a role as Elasticsearch writes it.
type descriptor struct {
	Cluster []string `json:"cluster"`
	Indices []struct {
		Names                  []string `json:"names"`
		Privileges             []string `json:"privileges"`
		Query                  any      `json:"query"`
		FieldSecurity          any      `json:"field_security"`
		AllowRestrictedIndices bool     `json:"allow_restricted_indices"`
	} `json:"indices"`
	Index             any      `json:"index"`
	Applications      []any    `json:"applications"`
	RunAs             []string `json:"run_as"`
	Metadata          any      `json:"metadata"`
	TransientMetadata any      `json:"transient_metadata"`
	Global            any      `json:"global"`
	Description       string   `json:"description"`
}

var (
	clusterPrivileges = []string{"all", "monitor", "manage", "manage_security", "manage_api_key", "manage_own_api_key", "manage_token", "read_security"}
	// ofSecurity is what manage_security covers: cluster:admin/xpack/security/*.
	ofSecurity      = []string{"manage_api_key", "manage_own_api_key", "manage_token", "read_security"}
	indexPrivileges = []string{"all", "read", "write", "index", "create", "create_doc", "delete", "manage", "monitor", "view_index_metadata"}
)

// role returns what the descriptor grants, or what the server says is wrong with it.
func (d descriptor) role() (made role, wrong string) {
	made.cluster = d.Cluster
	for _, privilege := range d.Cluster {
		if !slices.Contains(clusterPrivileges, privilege) {
			return role{}, "unknown cluster privilege [" + privilege + "]. a privilege must be either one of the predefined cluster privilege names [all,…] or a pattern over one of the available cluster actions"
		}
	}
	for _, index := range d.Indices {
		if len(index.Names) == 0 || len(index.Privileges) == 0 {
			return role{}, "indices privileges must refer to at least one index name or index name pattern, and define at least one privilege"
		}
		for _, privilege := range index.Privileges {
			if !slices.Contains(indexPrivileges, privilege) {
				return role{}, "unknown index privilege [" + privilege + "]. a privilege must be either one of the predefined fixed indices privileges [all,…] or a pattern over one of the available index actions"
			}
		}
		made.indices = append(made.indices, grant{index.Names, index.Privileges})
	}
	return made, ""
}

func grantsCluster(roles []role, privilege string) bool {
	return slices.ContainsFunc(roles, func(r role) bool {
		return slices.Contains(r.cluster, "all") || slices.Contains(r.cluster, privilege) ||
			slices.Contains(r.cluster, "manage") && privilege == "monitor" ||
			slices.Contains(r.cluster, "manage_security") && slices.Contains(ofSecurity, privilege)
	})
}

func grantsIndex(roles []role, index, privilege string) bool {
	return slices.ContainsFunc(roles, func(r role) bool {
		return slices.ContainsFunc(r.indices, func(g grant) bool {
			return slices.ContainsFunc(g.names, func(pattern string) bool {
				matched, err := path.Match(pattern, index)
				return err == nil && matched
			}) && (slices.Contains(g.privileges, "all") || slices.Contains(g.privileges, privilege))
		})
	})
}
