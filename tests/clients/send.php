<?php
// PHPMailer, which OpenEMR sends with, sends each kind of message by both doors. What it sent lies afterwards in the
// folder SENT.
//
// With TRUST=no it is given no authority to trust, and has to turn away from both doors.

declare(strict_types=1);

require 'libphp-phpmailer/autoload.php';

use PHPMailer\PHPMailer\Exception;
use PHPMailer\PHPMailer\PHPMailer;

const MECHANISMS = ['PLAIN', 'LOGIN', ''];
const KINDS = ['text', 'html', 'attachment', 'eight-bit', 'utf8'];
const DOORS = ['starttls' => 'STARTTLS', 'tls' => 'TLS'];

function mailer(string $door, string $mechanism): PHPMailer
{
    $mail = new PHPMailer(true);
    $mail->isSMTP();
    $mail->Host = getenv('HOST');
    $mail->Port = (int) getenv(DOORS[$door]);
    $mail->SMTPSecure = $door === 'tls' ? PHPMailer::ENCRYPTION_SMTPS : PHPMailer::ENCRYPTION_STARTTLS;
    $mail->SMTPAuth = true;
    $mail->AuthType = $mechanism;
    $mail->Username = 'ehr';
    $mail->Password = getenv('PASSWORD');
    $mail->Timeout = 20;
    $mail->SMTPOptions['ssl']['peer_name'] = getenv('NAME');
    if (getenv('TRUST') === 'yes') {
        $mail->SMTPOptions['ssl']['cafile'] = getenv('CA');
    }
    $mail->setFrom('ann@clinic.example', 'Ann Lee');
    $mail->Subject = 'Results';
    return $mail;
}

function fill(PHPMailer $mail, string $kind): void
{
    $mail->Body = "Results\r\n.\r\n..dots\r\n";
    switch ($kind) {
        case 'html':
            $mail->isHTML();
            $mail->Body = '<p>R&eacute;sultats</p>';
            $mail->AltBody = 'Results';
            break;
        case 'attachment':
            $mail->addStringAttachment(str_repeat(implode('', array_map('chr', range(0, 255))), 40), 'Ergebnis für Ann.bin');
            break;
        case 'eight-bit':
            $mail->CharSet = 'iso-8859-1';
            $mail->Encoding = PHPMailer::ENCODING_8BIT;
            $mail->Body = "R\xe9sultats\r\n";
            break;
        case 'utf8':
            $mail->CharSet = 'utf-8';
            $mail->Encoding = PHPMailer::ENCODING_8BIT;
            $mail->Subject = 'Größe der Röntgenbilder';
            $mail->Body = "Größe: 結果 🩺\r\n";
            break;
    }
}

foreach (array_keys(DOORS) as $door) {
    foreach (KINDS as $at => $kind) {
        $mail = mailer($door, MECHANISMS[$at % 3]);
        $mail->addAddress("$door-$kind@lab.example");
        fill($mail, $kind);
        try {
            $mail->send();
        } catch (Exception $error) {
            if (getenv('TRUST') === 'yes') {
                throw $error;
            }
            echo "$door: {$error->getMessage()}\n";
            continue 2;
        }
        if (getenv('TRUST') !== 'yes') {
            fwrite(STDERR, "$door: a certificate was trusted that nobody vouches for\n");
            exit(1);
        }
        // It ends its data with a line end and the dot, whether the message had its last line end or not.
        file_put_contents(getenv('SENT') . "/$door-$kind.eml", $mail->getSentMIMEMessage() . "\r\n");
    }
}
