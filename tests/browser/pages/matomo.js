document.cookie = "_pk_id.1.1fff=abc.1.; path=/; max-age=33955200";
document.cookie = "_pk_ses.1.1fff=1; path=/; max-age=1800";
new Image().src = "/matomo.php?action_name=Lamps&idsite=1&rec=1";
