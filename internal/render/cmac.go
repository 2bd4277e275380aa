package render

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
)

// cmac is AES-CMAC (RFC 4493, NIST SP 800-38B): for the few bytes of a token it is one block of AES, a tenth of what an HMAC
// costs. The keys are shared by all who sign; the room is one signer's.
type cmac struct {
	*cmacKeys
	state [aes.BlockSize]byte
}

type cmacKeys struct {
	block cipher.Block
	whole [aes.BlockSize]byte // goes into the last block where the message fills it
	part  [aes.BlockSize]byte // and where it does not
}

// newCMACKeys derives the keys for one use of a tenant's key: what is signed for another use, or by the key itself, is never the same.
func newCMACKeys(key []byte, use string) *cmacKeys {
	derive := hmac.New(sha256.New, key)
	derive.Write([]byte(use))
	return cmacKeysOf(derive.Sum(nil))
}

// cmacKeysOf are those of an AES key of 16 or 32 bytes.
func cmacKeysOf(key []byte) *cmacKeys {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the key has another length, which the program decides
	}
	k := &cmacKeys{block: block}
	block.Encrypt(k.whole[:], k.whole[:])
	double(&k.whole)
	k.part = k.whole
	double(&k.part)
	return k
}

// double multiplies by x in the field of 2^128 elements.
func double(b *[aes.BlockSize]byte) {
	carry := b[0] >> 7
	for i := range len(b) - 1 {
		b[i] = b[i]<<1 | b[i+1]>>7
	}
	b[len(b)-1] = b[len(b)-1]<<1 ^ carry*0x87
}

// sum is the code of a message. It is valid until the next one is asked for.
func (c *cmac) sum(message []byte) []byte {
	clear(c.state[:])
	for len(message) > aes.BlockSize {
		c.mix(message[:aes.BlockSize])
		c.block.Encrypt(c.state[:], c.state[:])
		message = message[aes.BlockSize:]
	}
	c.mix(message)
	last := &c.whole
	if n := len(message); n < aes.BlockSize {
		c.state[n] ^= 0x80
		last = &c.part
	}
	c.mix(last[:])
	c.block.Encrypt(c.state[:], c.state[:])
	return c.state[:]
}

func (c *cmac) mix(part []byte) { subtle.XORBytes(c.state[:], c.state[:], part) }
