package config

import (
	"net/url"
	"time"
)

func (a *Auth) rows() []*row {
	return []*row{
		listRow(&a.Chain, KindChoiceList, "chain", AuthNames(), Live,
			"Ways to show who one is, in the order in which they are asked; none is all those that are set up, in the order certificate, peer, password, jwt, http.").later(),
		switchRow(&a.Anonymous, "anonymous", Live,
			`May clients connect that do not say who they are? "auto" lets them on loopback addresses and unix sockets as long as nothing else is set up here.`).flag("anonymous"),
		pathRow(&a.PasswordFile, "password_file", Live, "Users and their passwords, as loopmq passwd and mosquitto_passwd write them.").flag("password-file"),
		pathRow(&a.ACLFile, "acl_file", Live, "Who may do what, in Mosquitto's format. With one, what it does not allow is denied.").flag("acl-file"),
		booleanRow(&a.DenyCloses, "deny_closes", false, Live,
			"Close the connection of a client of MQTT 3 that publishes what it may not; otherwise its message is acknowledged and goes nowhere.").flag("deny-closes"),
		tableRow("jwt", a.JWT.rows(), "Lets in who has a signed token as password."),
		tableRow("http", a.HTTP.rows(), "Asks a web service who may connect, with a POST of a JSON object: clientid, username, password, address, listener.").later(),
		tableRow("peer", []*row{
			mapRow(&a.Peer.Users, "users", Live,
				`Users of the machine, by number or name, and who they are on a unix:// listener without a password: { "1000" = "nodered" }.`),
		}, "Gives users to processes of this machine.").later(),
		tableRow("guard", a.Guard.rows(), "Slows down those who guess passwords."),
		tableRow("bans", []*row{
			networksRow(&a.Bans.Networks, "networks", Live, "Addresses that may not connect."),
			listRow(&a.Bans.Users, KindTextList, "users", nil, Live, "Users that may not connect."),
			listRow(&a.Bans.ClientIDs, KindTextList, "client_ids", nil, Live, "Client identifiers that may not connect."),
		}, "Keeps out known ones."),
	}
}

// algorithms of tokens: HS with a secret, the others with keys.
func algorithms() []string {
	return []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"}
}

func (j *JWT) rows() []*row {
	return []*row{
		pathRow(&j.SecretFile, "secret_file", Live, "A file with the secret that tokens are signed with (HS256 and its like)."),
		pathRow(&j.Keys, "keys", Live, "A file of the public keys of those who sign: PEM, or a JSON Web Key Set."),
		listRow(&j.Algorithms, KindChoiceList, "algorithms", algorithms(), Live,
			"Signatures that are taken; none is all that the keys are for."),
		textRow(&j.Issuer, "issuer", "", Live, `Who must have made the token (iss); "" is anybody.`),
		textRow(&j.Audience, "audience", "", Live, `Whom the token must be for (aud); "" is anybody.`),
		textRow(&j.UserClaim, "user_claim", "sub", Live, "What of the token is the user."),
		textRow(&j.ClientClaim, "client_claim", "", Live, `What of the token the client identifier must be; "" is nothing.`),
		durationRow(&j.Leeway, "leeway", time.Minute, 0, Live, "How wrong clocks may be, up to 5 minutes."),
	}
}

func (h *HTTP) rows() []*row {
	return []*row{
		textRow(&h.URL, "url", "", Live, "What is asked.", webURL),
		durationRow(&h.Timeout, "timeout", 5*time.Second, time.Millisecond, Live, "How long an answer may take."),
		durationRow(&h.Remember, "remember", 30*time.Second, 0, Live, `How long an answer is good for; "0s" asks every time.`),
		secretRow(&h.Token, "token", Live, "Sent along as a bearer token. Better in a file, see token_file."),
		pathRow(&h.TokenFile, "token_file", Live, "A file with the token."),
		pathRow(&h.CA, "ca", Live, `Who signs the service's certificate, PEM; "" is who the system trusts.`),
	}
}

func (g *Guard) rows() []*row {
	return []*row{
		integerRow(&g.AddressBurst, "address_burst", 10, Live, "How many logins of an address may fail without a delay; -1 is all.").between(-1, 10_000),
		integerRow(&g.UserBurst, "user_burst", 10, Live, "How many logins of a user, from wherever, may fail without a delay; -1 is all.").between(-1, 10_000),
		durationRow(&g.Refill, "refill", 5*time.Minute, time.Second, Live, "After which time one failure is forgotten."),
		durationRow(&g.FirstDelay, "first_delay", time.Second, time.Millisecond, Live, "The delay of the first failure too many; each further one doubles it."),
		durationRow(&g.DelayMax, "delay_max", 15*time.Minute, time.Millisecond, Live, "The longest delay."),
		networksRow(&g.Exempt, "exempt", Live, "Addresses that may fail as often as they like, such as those of proxies; the users there are counted."),
		integerRow(&g.EntriesMax, "entries_max", 1<<16, Live, "How many addresses, and how many users, are remembered.").between(1, 0),
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
