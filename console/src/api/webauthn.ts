// SPDX-License-Identifier: Apache-2.0
// WebAuthn between the browser's objects and the API's JSON shapes (bytes are base64url).
import { fromBase64, toBase64url } from "./base64";
import type { Schema } from "./client";

function descriptors(list: Schema["CredentialDescriptor"][] | undefined) {
  return (list ?? []).map((item) => ({
    type: "public-key" as const,
    id: fromBase64(item.id),
    transports: item.transports as AuthenticatorTransport[] | undefined,
  }));
}

export const passkeysSupported = (): boolean =>
  typeof PublicKeyCredential === "function" && window.isSecureContext;

export async function createPasskey(
  options: Schema["CreationOptions"],
): Promise<Schema["RegistrationResponse"]> {
  const credential = (await navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: fromBase64(options.challenge),
      user: { ...options.user, id: fromBase64(options.user.id) },
      pubKeyCredParams: options.pubKeyCredParams.map((p) => ({ type: "public-key", alg: p.alg })),
      excludeCredentials: descriptors(options.excludeCredentials),
      attestation: options.attestation as AttestationConveyancePreference | undefined,
    },
  })) as PublicKeyCredential | null;
  if (!credential) throw new DOMException("no credential", "NotAllowedError");
  const response = credential.response as AuthenticatorAttestationResponse;
  return {
    id: credential.id,
    rawId: toBase64url(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment,
    clientExtensionResults: {},
    response: {
      clientDataJSON: toBase64url(response.clientDataJSON),
      attestationObject: toBase64url(response.attestationObject),
      transports: response.getTransports(),
    },
  };
}

export async function usePasskey(
  options: Schema["RequestOptions"],
): Promise<Schema["AuthenticationResponse"]> {
  const credential = (await navigator.credentials.get({
    publicKey: {
      challenge: fromBase64(options.challenge),
      rpId: options.rpId,
      allowCredentials: descriptors(options.allowCredentials),
      userVerification: options.userVerification as UserVerificationRequirement | undefined,
      timeout: options.timeout,
    },
  })) as PublicKeyCredential | null;
  if (!credential) throw new DOMException("no credential", "NotAllowedError");
  const response = credential.response as AuthenticatorAssertionResponse;
  return {
    id: credential.id,
    rawId: toBase64url(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment,
    clientExtensionResults: {},
    response: {
      clientDataJSON: toBase64url(response.clientDataJSON),
      authenticatorData: toBase64url(response.authenticatorData),
      signature: toBase64url(response.signature),
      userHandle: response.userHandle ? toBase64url(response.userHandle) : null,
    },
  };
}
