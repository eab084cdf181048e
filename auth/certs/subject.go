package certs

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// attribute is one part of a name, for instance CN=device7.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// attributesSET are parts that stand side by side; package asn1 knows sets by the end of the type's name.
type attributesSET []attribute

var errNoCommonName = errors.New("client certificate has no common name")

// Subject returns the subject of a certificate in the form of RFC 2253 as OpenSSL writes it, the last part first, for
// instance CN=device7,OU=hall 2,O=Example. Mosquitto uses the same text as user name with use_subject_as_username.
func Subject(cert *x509.Certificate) (string, error) {
	parts, err := parseName(cert.RawSubject)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for i, set := range slices.Backward(parts) {
		for k, a := range slices.Backward(set) {
			switch {
			case k < len(set)-1:
				out.WriteByte('+')
			case i < len(parts)-1:
				out.WriteByte(',')
			}
			a.appendTo(&out)
		}
	}
	return out.String(), nil
}

// CommonName returns the first common name of a certificate, as mosquitto does with use_identity_as_username.
func CommonName(cert *x509.Certificate) (string, error) {
	parts, err := parseName(cert.RawSubject)
	if err != nil {
		return "", err
	}
	for _, set := range parts {
		for _, a := range set {
			if shortNames[a.Type.String()] != "CN" {
				continue
			}
			text, ok := a.text()
			if !ok || text == "" || strings.ContainsRune(text, 0) {
				return "", errNoCommonName
			}
			return text, nil
		}
	}
	return "", errNoCommonName
}

func parseName(der []byte) (parts []attributesSET, err error) {
	rest, err := asn1.Unmarshal(der, &parts)
	if err == nil && len(rest) > 0 {
		err = errors.New("bytes left over")
	}
	if err != nil {
		return nil, fmt.Errorf("subject of the client certificate: %w", err)
	}
	return parts, nil
}

// shortNames are OpenSSL's names of what subjects are made of; table: of object identifiers.
var shortNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
	"2.5.4.9": "street", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description",
	"2.5.4.15": "businessCategory", "2.5.4.16": "postalAddress", "2.5.4.17": "postalCode", "2.5.4.18": "postOfficeBox",
	"2.5.4.20": "telephoneNumber", "2.5.4.41": "name", "2.5.4.42": "GN", "2.5.4.43": "initials",
	"2.5.4.44": "generationQualifier", "2.5.4.45": "x500UniqueIdentifier", "2.5.4.46": "dnQualifier",
	"2.5.4.65": "pseudonym", "2.5.4.72": "role", "2.5.4.97": "organizationIdentifier",
	"1.2.840.113549.1.9.1": "emailAddress", "1.2.840.113549.1.9.2": "unstructuredName",
	"1.2.840.113549.1.9.8":       "unstructuredAddress",
	"0.9.2342.19200300.100.1.1":  "UID",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.3": "mail",
	"1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL", "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST",
	"1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
}

// appendTo writes name=value. What has no short name is written in full, in hexadecimal.
func (a attribute) appendTo(out *strings.Builder) {
	name, known := shortNames[a.Type.String()]
	if !known {
		name = a.Type.String()
	}
	out.WriteString(name + "=")
	text, ok := a.text()
	if !known || !ok {
		out.WriteString("#" + strings.ToUpper(hex.EncodeToString(a.Value.FullBytes)))
		return
	}
	for i := range len(text) {
		b := text[i]
		edge := b == ' ' && (i == 0 || i == len(text)-1) || b == '#' && i == 0 && len(text) > 1 // as OpenSSL does
		switch {
		case b < 0x20 || b >= 0x7f:
			fmt.Fprintf(out, `\%02X`, b)
		case edge || strings.IndexByte(`,+"\<>;`, b) >= 0:
			out.WriteByte('\\')
			out.WriteByte(b)
		default:
			out.WriteByte(b)
		}
	}
}

// text returns the value in UTF-8; false if it is of a kind that crypto/x509 does not let pass.
func (a attribute) text() (string, bool) {
	b := a.Value.Bytes
	if a.Value.Class != asn1.ClassUniversal {
		return "", false
	}
	switch a.Value.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagNumericString:
		return string(b), true
	case asn1.TagT61String: // Latin 1, whatever the standard says
		runes := make([]rune, len(b))
		for i := range b {
			runes[i] = rune(b[i])
		}
		return string(runes), true
	case asn1.TagBMPString:
		units := make([]uint16, len(b)/2)
		for i := range units {
			units[i] = binary.BigEndian.Uint16(b[2*i:])
		}
		return string(utf16.Decode(units)), len(b)%2 == 0
	}
	return "", false
}
