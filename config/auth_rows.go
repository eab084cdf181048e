package config

import (
	"net/url"
	"time"
)

func (a *Auth) rows() []*row {
	return []*row{
		listRow(&a.Chain, KindChoiceList, "chain", AuthNames(), Live,
			"Ways to show who one is, in the order in which they are asked; none is all those that are set up, in the order certificate, peer, password, jwt, http."),
		switchRow(&a.Anonymous, "anonymous", Live,
			`May clients connect that do not say who they are? "auto" lets them on loopback addresses and unix sockets as long as nothing else is set up here.`).flag("anonymous"),
		pathRow(&a.PasswordFile, "password_file", Live, "Users and their passwords, as loopmq passwd and mosquitto_passwd write them.").flag("password-file"),
		pathRow(&a.ACLFile, "acl_file", Live, "Who may do what, in Mosquitto's format. With one, what it does not allow is denied.").flag("acl-file"),
		booleanRow(&a.DenyCloses, "deny_closes", false, Live,
			"Close the connection of a client of MQTT 3 that publishes what it may not; otherwise its message is acknowledged and goes nowhere.").flag("deny-closes"),
		tableRow("jwt", a.JWT.rows(), "Lets in who has a signed token as password."),
		tableRow("http", a.HTTP.rows(), "Asks a web service who may connect."),
		tableRow("peer", []*row{
			mapRow(&a.Peer.Users, "users", Live,
				`Users of the machine, by number or name, and who they are on a unix:// listener without a password: { "1000" = "nodered" }.`),
		}, "Gives users to processes of this machine."),
		tableRow("guard", a.Guard.rows(), "Keeps out addresses that try passwords."),
		tableRow("bans", []*row{
			pathRow(&a.Bans.File, "file", Live, `A list that loopmq ban writes, of addresses, networks, client identifiers and users, with times at which bans end: address 192.0.2.0/24 until 2026-12-24T18:00:00Z because REASON.`),
			networksRow(&a.Bans.Networks, "networks", Live, "Addresses that may not connect."),
			listRow(&a.Bans.Users, KindTextList, "users", nil, Live, "Users that may not connect."),
			listRow(&a.Bans.ClientIDs, KindTextList, "client_ids", nil, Live, "Client identifiers that may not connect."),
		}, "Keeps out known ones. A reload ends the connections of who is banned then."),
	}
}

// algorithms of tokens: HS with a secret, the others with keys.
func algorithms() []string {
	return []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"}
}

func (j *JWT) rows() []*row {
	return []*row{
		secretRow(&j.Secret, "secret", Live, "The secret that tokens are signed with (HS256 and its like). Better in a file, see secret_file."),
		pathRow(&j.SecretFile, "secret_file", Live, "A file with the secret."),
		pathRow(&j.Keys, "keys", Live, "A file of the public keys of those who sign: PEM, or a JSON Web Key Set."),
		listRow(&j.Algorithms, KindChoiceList, "algorithms", algorithms(), Live,
			"Signatures that are taken; none is HS256 with a secret, and RS256, ES256 and EdDSA with keys."),
		textRow(&j.Issuer, "issuer", "", Live, `Who must have made the token (iss); "" is anybody.`),
		textRow(&j.Audience, "audience", "", Live, `Whom the token must be for (aud); "" is anybody.`),
		textRow(&j.UserClaim, "user_claim", "sub", Live, "What of the token is the user."),
		textRow(&j.ClientClaim, "client_claim", "", Live, `What of the token the client identifier must be; "" is nothing.`),
		durationRow(&j.Leeway, "leeway", time.Minute, 0, Live, "How wrong clocks may be, up to 5 minutes."),
	}
}

func (h *HTTP) rows() []*row {
	return []*row{
		textRow(&h.UserURL, "user_url", "", Live, `Asked with POST and a JSON object (clientid, username, password, address, listener). The answer is 200 with {"result": "allow"}, "deny" or "ignore", or without a body for allow; 401 and 403 are deny. With "publ" and "subs" it lists the filters that the client may use, with "lifetime" the seconds that its connection may last, with "user" another name.`, webURL),
		durationRow(&h.Timeout, "timeout", 5*time.Second, time.Millisecond, Live, "How long an answer may take."),
		durationRow(&h.Cache, "cache", 30*time.Second, 0, Live, `How long an answer is good for; "0s" asks every time.`),
		secretRow(&h.Token, "token", Live, "Sent along as a bearer token. Better in a file, see token_file."),
		pathRow(&h.TokenFile, "token_file", Live, "A file with the token."),
		pathRow(&h.CA, "ca", Live, `Who signs the service's certificate, PEM; "" is who the system trusts.`),
	}
}

func (g *Guard) rows() []*row {
	return []*row{
		integerRow(&g.Failures, "failures", 10, Live, "How often an address, or somebody with a user name, may fail to log in without having to wait; 0 is no guard."),
		durationRow(&g.Window, "window", 5*time.Minute, time.Second, Live, "After which time one failure is forgotten."),
		durationRow(&g.Ban, "ban", 15*time.Minute, time.Second, Live, "The longest time to wait after a further failure; the first one costs a second, each further one doubles it."),
		networksRow(&g.Exempt, "exempt", Live, "Addresses that may fail as often as they like."),
	}
}

func webURL(s string) string {
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "is no URL"
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return "write http://HOST/PATH or https://HOST/PATH"
	case u.User != nil:
		return "a user does not belong here; see token_file"
	}
	return ""
}
