package cli

// commands is the table of all client commands, by the words that name them.
func commands() map[string]func() command {
	return map[string]func() command{
		"alerts export":          alertsExport,
		"alerts list":            alertsList,
		"auth disable":           authMethods().disable,
		"auth enable":            authMethods().enable,
		"auth list":              authMethods().list,
		"auth move":              authMethods().move,
		"auth tune":              authMethods().tune,
		"delete":                 deleteCommand,
		"lease lookup":           leaseLookup,
		"lease renew":            leaseRenew,
		"lease revoke":           leaseRevoke,
		"list":                   listCommand,
		"login":                  loginCommand,
		"operator backup":        operatorBackup,
		"operator generate-root": operatorGenerateRoot,
		"operator init":          operatorInit,
		"operator key-status":    operatorKeyStatus,
		"operator members":       operatorMembers,
		"operator migrate":       operatorMigrate,
		"operator rekey":         operatorRekey,
		"operator restore":       operatorRestore,
		"operator rotate":        operatorRotate,
		"operator seal":          operatorSeal,
		"operator status":        operatorStatus,
		"operator step-down":     operatorStepDown,
		"operator unseal":        operatorUnseal,
		"policy delete":          policyDelete,
		"policy list":            policyList,
		"policy read":            policyRead,
		"policy write":           policyWrite,
		"read":                   readCommand,
		"secrets disable":        secretsEngines().disable,
		"secrets enable":         secretsEngines().enable,
		"secrets list":           secretsEngines().list,
		"secrets move":           secretsEngines().move,
		"secrets tune":           secretsEngines().tune,
		"status":                 statusCommand,
		"token capabilities":     tokenCapabilities,
		"token create":           tokenCreate,
		"token lookup":           tokenLookup,
		"token renew":            tokenRenew,
		"token revoke":           tokenRevoke,
		"version":                versionCommand,
		"write":                  writeCommand,
	}
}

// groups holds the synopsis of each first word that only introduces others.
func groups() map[string]string {
	return map[string]string{
		"alerts":   "Show the server's alerts",
		"auth":     "Manage auth methods",
		"lease":    "Renew, revoke and look up leases",
		"operator": "Initialize, seal and unseal servers, manage their keys and storage",
		"policy":   "Manage ACL policies",
		"secrets":  "Manage secrets engines",
		"token":    "Manage tokens",
	}
}
